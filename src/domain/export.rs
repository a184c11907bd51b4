//! Variables that must not be exported to later steps without the workflow's word: families of names by which common programs
//! run code, load libraries, or choose whom they trust.
//!
//! A family is refused as a whole, since programs gain such variables with every release; names in it that only place a cache
//! or a limit are exempt.

/// Programs that are controlled by variables with these names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Family {
    /// What the variables control, as the object of a sentence.
    pub what: &'static str,
    exact: &'static [&'static str],
    prefixes: &'static [&'static str],
    suffixes: &'static [&'static str],
    /// Names of the family that are exported all the same.
    exempt: &'static [&'static str],
}

const NONE: &[&str] = &[];

/// The families. All names are in upper case; variables are compared without regard to case, as Windows does.
const FAMILIES: &[Family] = &[
    Family {
        what: "the shell",
        exact: &[
            "PATH",
            "PATHEXT",
            "SHELL",
            "ENV",
            "IFS",
            "PS1",
            "PS2",
            "PS3",
            "PS4",
            "PROMPT_COMMAND",
            "SHELLOPTS",
            "BASHOPTS",
            "CDPATH",
            "GLOBIGNORE",
            "FPATH",
            "ZDOTDIR",
            "INPUTRC",
            "COMSPEC",
        ],
        prefixes: &["BASH_", "FISH_", "ZSH"],
        suffixes: NONE,
        exempt: NONE,
    },
    Family {
        what: "the dynamic loader or the C library",
        exact: &[
            "GCONV_PATH",
            "LOCPATH",
            "NLSPATH",
            "GETCONF_DIR",
            "HOSTALIASES",
            "LOCALDOMAIN",
            "RES_OPTIONS",
            "RESOLV_HOST_CONF",
            "TZDIR",
            "LIBPATH",
            "SHLIB_PATH",
        ],
        prefixes: &["LD_", "DYLD_", "GLIBC_", "MALLOC_", "_RLD", "LOCALE_ARCHIVE"],
        suffixes: NONE,
        exempt: NONE,
    },
    Family {
        what: "the directories of the user or the system",
        exact: &[
            "HOME",
            "USERPROFILE",
            "HOMEDRIVE",
            "HOMEPATH",
            "APPDATA",
            "LOCALAPPDATA",
            "PROGRAMDATA",
            "ALLUSERSPROFILE",
            "SYSTEMROOT",
            "SYSTEMDRIVE",
            "WINDIR",
            "TMPDIR",
            "TMP",
            "TEMP",
        ],
        prefixes: &["XDG_", "PROGRAMFILES", "COMMONPROGRAM"],
        suffixes: NONE,
        exempt: NONE,
    },
    Family {
        what: "version control",
        exact: &["HGRCPATH", "HGMERGE", "HGEDITOR", "SVN_SSH", "CVS_RSH"],
        prefixes: &["GIT_", "GCM_", "GH_"],
        suffixes: NONE,
        exempt: NONE,
    },
    Family {
        what: "remote logins and signatures",
        exact: &["RSH", "RSYNC_RSH", "GNUPGHOME"],
        prefixes: &["SSH_", "SUDO_", "GPG_", "RSYNC_"],
        suffixes: &["_ASKPASS"],
        exempt: NONE,
    },
    Family {
        what: "editors and pagers",
        exact: &["EDITOR", "VISUAL", "PAGER", "BROWSER", "EXINIT", "MYVIMRC", "TERMCAP", "EMACSLOADPATH"],
        prefixes: &["LESS", "VIM", "TERMINFO", "NVIM_"],
        suffixes: &["EDITOR", "PAGER", "_BROWSER"],
        exempt: NONE,
    },
    Family {
        what: "Python",
        exact: &["VIRTUAL_ENV"],
        prefixes: &[
            "PYTHON", "PYTEST_", "PYENV_", "PY_", "PIP_", "PIPX_", "PIPENV_", "POETRY_", "UV_", "PDM_",
            "TOX_", "CONDA_", "MAMBA_",
        ],
        suffixes: NONE,
        exempt: &[
            "PYTHONPYCACHEPREFIX",
            "PYTHONUNBUFFERED",
            "PYTHONHASHSEED",
            "PIP_CACHE_DIR",
            "UV_CACHE_DIR",
            "PIPENV_CACHE_DIR",
            "POETRY_CACHE_DIR",
            "PDM_CACHE_DIR",
        ],
    },
    Family { what: "Perl", exact: NONE, prefixes: &["PERL"], suffixes: NONE, exempt: NONE },
    Family {
        what: "Ruby",
        exact: &["IRBRC", "RAKEOPT"],
        prefixes: &["RUBY", "GEM_", "BUNDLE", "RBENV_"],
        suffixes: NONE,
        exempt: NONE,
    },
    Family {
        what: "Java",
        exact: &["CLASSPATH", "M2_HOME", "M2"],
        prefixes: &[
            "JAVA",
            "_JAVA",
            "JDK_",
            "JRE_",
            "JVM_",
            "MAVEN_",
            "MVN_",
            "GRADLE_",
            "ANT_",
            "SBT_",
            "KOTLIN",
            "SCALA",
            "GROOVY_",
            "COURSIER_",
            "IVY_",
        ],
        suffixes: &["_OPTS", "_JAVA_OPTIONS"],
        exempt: &["COURSIER_CACHE"],
    },
    Family {
        what: "Node.js",
        exact: NONE,
        prefixes: &[
            "NODE_",
            "NPM_",
            "YARN_",
            "PNPM_",
            "BUN_",
            "DENO_",
            "COREPACK_",
            "NVM_",
            "VOLTA_",
            "TS_NODE_",
            "ELECTRON_",
        ],
        suffixes: NONE,
        exempt: &["NPM_CONFIG_CACHE", "YARN_CACHE_FOLDER", "BUN_INSTALL_CACHE_DIR", "ELECTRON_CACHE"],
    },
    Family {
        what: "Rust and Cargo",
        exact: NONE,
        prefixes: &["RUST", "CARGO"],
        suffixes: NONE,
        exempt: &["RUST_LOG", "RUST_BACKTRACE"],
    },
    Family {
        what: "Go",
        exact: &[
            "GOROOT",
            "GOPATH",
            "GOBIN",
            "GOENV",
            "GOFLAGS",
            "GOPROXY",
            "GONOPROXY",
            "GOPRIVATE",
            "GOSUMDB",
            "GONOSUMDB",
            "GONOSUMCHECK",
            "GOINSECURE",
            "GOAUTH",
            "GOVCS",
            "GOWORK",
            "GOTOOLCHAIN",
            "GOTOOLDIR",
            "GOCACHEPROG",
            "GOEXPERIMENT",
            "GODEBUG",
            "GO111MODULE",
            "GOOS",
            "GOARCH",
            "GCCGO",
        ],
        prefixes: &["GO_", "CGO_", "GOLANG"],
        suffixes: NONE,
        exempt: NONE,
    },
    Family {
        what: "compilers and linkers",
        exact: &[
            "CC",
            "CXX",
            "CPP",
            "FC",
            "F77",
            "F90",
            "LD",
            "AS",
            "AR",
            "NM",
            "RANLIB",
            "STRIP",
            "OBJC",
            "OBJCXX",
            "OBJCOPY",
            "CL",
            "_CL_",
            "LINK",
            "_LINK_",
            "LIB",
            "INCLUDE",
            "CPATH",
            "LIBRARY_PATH",
            "COMPILER_PATH",
            "HOSTCC",
            "HOSTCXX",
            "CUDACXX",
            "CUDAHOSTCXX",
            "HIPCXX",
            "ISPC",
            "SWIFT_EXEC",
        ],
        prefixes: &[
            "GCC_",
            "CLANG_",
            "CC_",
            "CXX_",
            "LLVM_",
            "NVCC_",
            "C_INCLUDE",
            "CPLUS_INCLUDE",
            "OBJC_INCLUDE",
            "OBJCPLUS_INCLUDE",
        ],
        suffixes: &["FLAGS", "_CC", "_CXX", "_LINKER", "_LD"],
        exempt: NONE,
    },
    Family {
        what: "compiler launchers",
        exact: &[
            "CCACHE_COMPILER",
            "CCACHE_COMPILERCHECK",
            "CCACHE_CONFIGPATH",
            "CCACHE_PATH",
            "CCACHE_PREFIX",
            "CCACHE_PREFIX_CPP",
            "CCACHE_REMOTE_STORAGE",
            "CCACHE_SECONDARY_STORAGE",
            "SCCACHE_CONF",
            "SCCACHE_PATH",
        ],
        prefixes: &["DISTCC_", "ICECC_", "BUILDCACHE_"],
        suffixes: &["_WRAPPER", "_LAUNCHER", "_RUNNER"],
        exempt: &["BUILDCACHE_DIR"],
    },
    Family {
        what: "build tools",
        exact: &[
            "MFLAGS",
            "M4",
            "AUTOCONF",
            "AUTOMAKE",
            "AUTOM4TE",
            "ACLOCAL",
            "LIBTOOL",
            "LIBTOOLIZE",
            "ACLOCAL_PATH",
        ],
        prefixes: &[
            "MAKE",
            "GNUMAKE",
            "NINJA_",
            "MESON",
            "CMAKE_",
            "CTEST_",
            "CPACK_",
            "PKG_CONFIG",
            "VCPKG_",
            "CONAN_",
            "BAZEL",
            "NIX_",
        ],
        suffixes: NONE,
        exempt: &[
            "CMAKE_BUILD_PARALLEL_LEVEL",
            "CTEST_OUTPUT_ON_FAILURE",
            "CTEST_PARALLEL_LEVEL",
            "VCPKG_DEFAULT_BINARY_CACHE",
        ],
    },
    Family {
        what: ".NET",
        exact: NONE,
        prefixes: &["DOTNET_", "CORECLR_", "COR_", "COMPLUS_", "MSBUILD", "NUGET_", "VSTEST_"],
        suffixes: NONE,
        exempt: &["NUGET_PACKAGES", "NUGET_HTTP_CACHE_PATH", "DOTNET_NOLOGO", "DOTNET_CLI_TELEMETRY_OPTOUT"],
    },
    Family {
        what: "PowerShell",
        exact: &["__PSLOCKDOWNPOLICY"],
        prefixes: &["PSMODULE", "POWERSHELL_"],
        suffixes: NONE,
        exempt: NONE,
    },
    Family {
        what: "another interpreter",
        exact: &["PHPRC", "JULIA_LOAD_PATH", "TCLLIBPATH"],
        prefixes: &[
            "PHP_",
            "COMPOSER_",
            "LUA_",
            "LUAROCKS_",
            "R_",
            "JULIA_",
            "OCAML",
            "CAML",
            "OPAM",
            "GHC",
            "CABAL_",
            "STACK_",
            "ERL_",
            "ELIXIR_",
            "MIX_",
            "REBAR_",
            "GUILE_",
        ],
        suffixes: NONE,
        exempt: &["COMPOSER_CACHE_DIR"],
    },
    Family {
        what: "plug-ins of libraries",
        exact: &[
            "ITK_AUTOLOAD_PATH",
            "QT_PLUGIN_PATH",
            "QT_QPA_PLATFORM_PLUGIN_PATH",
            "QML_IMPORT_PATH",
            "QML2_IMPORT_PATH",
        ],
        prefixes: &["GTK_", "GIO_", "GST_", "VK_ICD_", "VK_LAYER_", "VK_ADD_", "OCL_ICD_"],
        suffixes: &["_PLUGIN_PATH"],
        exempt: NONE,
    },
    Family {
        what: "the network and its certificates",
        exact: &["WGETRC", "NETRC"],
        prefixes: &["CURL_", "SSL_", "OPENSSL_", "WGET_"],
        suffixes: &["_PROXY", "_CA_BUNDLE", "_CA_CERTS"],
        exempt: NONE,
    },
    Family {
        what: "containers and clouds",
        exact: &["KUBECONFIG"],
        prefixes: &[
            "DOCKER_",
            "BUILDKIT_",
            "PODMAN_",
            "CONTAINER_",
            "KUBE_",
            "HELM_",
            "AWS_",
            "AZURE_",
            "GOOGLE_",
            "GCP_",
            "CLOUDSDK_",
            "VAULT_",
            "TF_",
            "TERRAFORM_",
            "ANSIBLE_",
            "HOMEBREW_",
        ],
        suffixes: NONE,
        exempt: &["HOMEBREW_CACHE"],
    },
    Family {
        what: "the CI platform",
        exact: &["CI"],
        prefixes: &[
            "SYSTEM_",
            "AGENT_",
            "BUILD_",
            "VSO_",
            "VSTS_",
            "ENDPOINT_",
            "SECUREFILE_",
            "CI_",
            "GITLAB_",
            "FF_",
            "JENKINS_",
        ],
        suffixes: NONE,
        exempt: NONE,
    },
];

/// The family of a variable that must not be exported without the workflow's word; `None` if it may.
pub(crate) fn family_of(name: &str) -> Option<&'static Family> {
    let upper = name.to_ascii_uppercase();
    FAMILIES.iter().find(|family| family.has(&upper))
}

impl Family {
    /// Whether a name in upper case belongs to the family and is not exempt.
    fn has(&self, upper: &str) -> bool {
        let named = self.exact.contains(&upper)
            || self.prefixes.iter().any(|prefix| upper.starts_with(prefix))
            || self.suffixes.iter().any(|suffix| upper.ends_with(suffix));
        named && !self.exempt.contains(&upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_run_code_are_in_a_family() {
        let dangerous = "PATH Path BASH_ENV BASH_FUNC_ls LD_PRELOAD LD_AUDIT DYLD_LIBRARY_PATH GLIBC_TUNABLES GIT_CONFIG_PARAMETERS \
                         git_ssh_command SSH_AUTH_SOCK HTTPS_PROXY https_proxy VIMINIT MANPAGER SUDO_EDITOR JULIA_PAGER \
                         PYTHONSTARTUP PYTEST_ADDOPTS PIP_INDEX_URL UV_INDEX PERL5OPT PERL_MB_OPT RUBYOPT BUNDLE_GEMFILE \
                         JAVA_HOME JDK_JAVA_OPTIONS _JAVA_OPTIONS MAVEN_OPTS NODE_OPTIONS npm_config_registry YARN_RC_FILENAME \
                         RUSTC RUSTFLAGS RUSTUP_HOME CARGO_HOME CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER GOFLAGS CGO_CFLAGS \
                         CC CXX CC_x86_64 HOST_CC LDFLAGS GCC_EXEC_PREFIX CMAKE_CXX_COMPILER_LAUNCHER MAKEFILES GNUMAKEFLAGS \
                         MSBuildSDKsPath DOTNET_STARTUP_HOOKS COR_ENABLE_PROFILING PSModulePath XDG_DATA_DIRS TMPDIR \
                         CCACHE_PREFIX DISTCC_HOSTS MY_COMPILER_LAUNCHER FOO_WRAPPER ITK_AUTOLOAD_PATH SYSTEM_ACCESSTOKEN \
                         CI_JOB_TOKEN LUA_INIT R_PROFILE_USER OPENSSL_CONF DOCKER_HOST";
        for name in dangerous.split_whitespace() {
            assert!(family_of(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_only_places_a_cache_or_belongs_to_the_build_is_in_none() {
        let harmless = "CCACHE_DIR CCACHE_BASEDIR CCACHE_MAXSIZE CCACHE_NOTE SCCACHE_DIR SCCACHE_CACHE_SIZE GOCACHE GOMODCACHE \
                        PIP_CACHE_DIR UV_CACHE_DIR npm_config_cache YARN_CACHE_FOLDER NUGET_PACKAGES COMPOSER_CACHE_DIR \
                        ExternalData_OBJECT_STORES PRE_COMMIT_HOME SOURCE_DATE_EPOCH MY_DATA OTHER VARIANT GOOD_DATA";
        for name in harmless.split_whitespace() {
            assert_eq!(family_of(name), None, "{name}");
        }
    }

    #[test]
    fn the_table_is_in_upper_case_and_every_exemption_is_needed() {
        for family in FAMILIES {
            let names = [family.exact, family.prefixes, family.suffixes, family.exempt].concat();
            assert!(names.iter().all(|name| *name == name.to_ascii_uppercase()), "{}", family.what);
            for name in family.exempt {
                let is_named = family.prefixes.iter().any(|prefix| name.starts_with(prefix));
                assert!(is_named && family_of(name).is_none(), "{name}");
            }
        }
    }
}
