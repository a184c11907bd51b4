//! Findings about single fields and about overlapping caches.

use crate::domain::spec::StoreLocation;
use crate::domain::unit::{ByteSize, SizeOrShare};

use super::{found, found_in_cache, lines, load};

/// Keys and restore keys that are wrong or suspicious.
const KEYS: &[&str] = &[
    "key = ''",
    "key = 'deps-'",
    "key = '{os}:'",
    "key = 'a,b'",
    "key = \"a\\nb\"",
    "key = ' a'",
    "key = 'a-{os} '",
    "key = 'k-{temp}'",
    "key = 'k-{path}-{home}-{workspace}'",
    "key = 'k-{links}'",
    "key = 'k-{hash}-{algo}'",
    "key = 'k-{oss}'",
    "key = 'k-{OS}'",
    "key = 'k-{env:CC}'",
    "key = 'k-{env.A B}'",
    "key = 'k-{hashFiles:*.lock}'",
    "key = 'k-{git:}'",
    "key = 'k-{nothing-like-it}'",
    "key = 'k-{os'",
    "key = 'k-os}'",
    "key = 'k-${{ runner.os }}'",
    "key = 'k-{files:../*.lock}'",
    "key = 'k-{git:/etc/*}'",
    "key = 'k-{git:!*.md}'",
    "key = 'k-{files:a[}'",
    "restore-keys = ['', 'k-', 'k-', 'j-', 'k-{os}-', 'k,']",
    "restore-keys = ['k', 'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k']",
];

#[test]
fn keys() {
    let long = format!("key = '{}'", "k".repeat(513));
    let mut cases = KEYS.to_vec();
    cases.insert(7, &long);
    insta::assert_snapshot!(found_in_cache(&cases), @r#"
3:7 error: the key is empty | write text and placeholders, such as `deps-v1-{os}`
3:7 error: the key `deps-` ends in `-`, so its last part seems to be missing | add the last part or remove the separator; only restore keys may end in one
3:7 error: the key `{os}:` ends in `:`, so its last part seems to be missing | add the last part or remove the separator; only restore keys may end in one
3:7 error: the key `a,b` has a comma, which no cache service accepts | use `-` between its parts
3:7 error: the key has a control character, which no cache service accepts | write it on one line
3:7 error: the key ` a` has leading or trailing whitespace | remove the whitespace
3:7 error: the key `a-{os} ` has leading or trailing whitespace | remove the whitespace
3:7 error: the key has 513 characters; the limit is 512 | shorten it, or replace the long part with a digest such as `{files:GLOBS}`
3:10 error: `{temp}` in a key differs between machines, so other machines would never find the entry | remove it: an entry can be restored to any directory
3:10 error: `{path}` in a key differs between machines, so other machines would never find the entry | remove it: an entry can be restored to any directory
3:17 error: `{home}` in a key differs between machines, so other machines would never find the entry | remove it: an entry can be restored to any directory
3:24 error: `{workspace}` in a key differs between machines, so other machines would never find the entry | remove it: an entry can be restored to any directory
3:10 error: `{links}` in a key needs content links, which the cache does not declare | add a `links` table with `files = ["**/*.sha512"]`, or use `{files:GLOBS}`
3:10 error: `{hash}` in a key stands for a part of an object's name | use it in `links.object` and `links.mirrors`
3:17 error: `{algo}` in a key stands for a part of an object's name | use it in `links.object` and `links.mirrors`
3:10 error: `{oss}` is not a placeholder | did you mean `{os}`? write `{{` and `}}` for literal braces
3:10 error: `{OS}` is not a placeholder | did you mean `{os}`? write `{{` and `}}` for literal braces
3:10 error: `{env:CC}` is not a placeholder | did you mean `{env.CC}`? names consist of letters, digits, `_` and `-`
3:10 error: `{env.A B}` is not a placeholder | did you mean `{env.A_B}`? names consist of letters, digits, `_` and `-`
3:10 error: `{hashFiles:*.lock}` is not a placeholder | did you mean `{hash-files:*.lock}`?
3:10 error: `{git:}` is not a placeholder | write globs separated by commas, such as `{git:**/*.lock,!vendor/**}`
3:10 error: `{nothing-like-it}` is not a placeholder | known placeholders: {os} {arch} {ref} {sha} {run-id} {run-attempt} {temp} {workspace} {home} {path} {links} {hash} {ALGO} {algo} {env.NAME} {var.NAME} {git:GLOBS} {files:GLOBS} {hash-files:GLOBS} {tool:NAME}; write `{{` or `}}` for a literal brace
3:7 error: unmatched `{` at character 3; write `{{` for a literal `{` | (none)
3:7 error: unmatched `}` at character 5; write `}}` for a literal `}` | (none)
3:10 error: `${{ runner.os }}` is a GitHub Actions expression, which is not expanded here | write `{os}`
3:7 error: the glob `../*.lock` is not relative to the workspace | write a relative path without `.` and `..`
3:7 error: the glob `/etc/*` is not relative to the workspace | write a relative path without `.` and `..`
3:7 error: `!*.md` contains only exclusions | add a glob first; `!` excludes from the preceding ones
3:7 error: `a[` is not a glob: unclosed character class; missing ']' | escape special characters with brackets: `[*]`, `[[]`
4:17 error: the restore key is empty | write text and placeholders, such as `deps-v1-{os}`
4:27 warning: the restore key `k-` is listed twice | remove one
4:33 warning: the restore key `j-` never matches an entry of this cache | start it like the key: it must be a prefix of keys
4:39 warning: the restore key `k-{os}-` never matches an entry of this cache | start it like the key: it must be a prefix of keys
4:50 error: the restore key `k,` has a comma, which no cache service accepts | use `-` between its parts
4:22 warning: the restore key `k` is listed twice | remove one
4:27 warning: the restore key `k` is listed twice | remove one
4:32 warning: the restore key `k` is listed twice | remove one
4:37 warning: the restore key `k` is listed twice | remove one
4:42 warning: the restore key `k` is listed twice | remove one
4:47 warning: the restore key `k` is listed twice | remove one
4:52 warning: the restore key `k` is listed twice | remove one
4:57 warning: the restore key `k` is listed twice | remove one
4:62 error: 10 restore keys and the key exceed the limit of 10 keys | keep 9 restore keys: no cache service accepts more
4:62 warning: the restore key `k` is listed twice | remove one
"#);
}

#[test]
fn paths() {
    insta::assert_snapshot!(found_in_cache(&[
        "path = ''",
        "path = '!'",
        "path = '!a'",
        "paths = []",
        "paths = ['a', '  ']",
        "path = 'a[b'",
        "path = '/'",
        "path = '/*'",
        "path = '*/../a'",
        "path = '{path}/a'",
        "path = '{links}'",
        "paths = ['a', 'a/b']",
        "paths = ['a/*.o', 'a/*.a']",
        "path = '**/node_modules'",
        "path = 'C:/cache'",
    ]), @"
3:8 error: a path is empty | write a directory, such as `{temp}/ccache` or `build/deps`
3:8 error: a path is empty | write a directory, such as `{temp}/ccache` or `build/deps`
3:8 error: the paths contain only exclusions | add a directory first; `!` excludes from the preceding paths
3:9 error: `paths` is empty | add at least one directory or glob
3:15 error: a path is empty | write a directory, such as `{temp}/ccache` or `build/deps`
3:8 error: `a[b` is not a glob: unclosed character class; missing ']' | escape special characters with brackets: `[*]`, `[[]`
3:8 error: `/` covers a whole volume | write a directory in it
3:8 error: `/*` covers a whole volume | write a directory in it
3:8 error: `*/../a` has `..` after a wildcard | write the path without `..`
3:9 error: `{path}` in a path stands for the cache's directory | use it in the values of `export`
3:9 error: `{links}` in a path stands for a digest of files | use it in `key` and `restore-keys`
3:15 warning: `a/b` is already part of `a` | remove it
fine: [cache.c]
key = 'k-{os}'
paths = ['a/*.o', 'a/*.a']
fine: [cache.c]
key = 'k-{os}'
path = '**/node_modules'
fine: [cache.c]
key = 'k-{os}'
path = 'C:/cache'
");
}

#[test]
fn overlaps() {
    let check = |one: &str, other: &str| {
        let quoted = |paths: &str| paths.split(' ').map(|p| format!("'{p}'")).collect::<Vec<_>>().join(", ");
        found(&[&format!(
            "[cache.one]\nkey = 'k'\npaths = [{}]\n[cache.two]\nkey = 'k'\npaths = [{}]",
            quoted(one),
            quoted(other)
        )])
    };
    insta::assert_snapshot!([
        check("{temp}/a", "{temp}/a"),
        check("{temp}/a", "{temp}/b {temp}/a/b"),
        check("build/a/b", "{workspace}/build"),
        check("a/**", "a/x"),
        check("**/node_modules", "build"),
        check("a/*.o", "a/*.o"),
        check("a !a/b", "a/b"),
        check("{home}/.cargo !{home}/.cargo/registry", "{home}/.cargo/registry"),
        check("{home}/.cargo !registry", "{home}/.cargo/registry"),
    ]
    .join("\n"), @"
6:10 error: `{temp}/a` is already part of the cache `one` | use separate directories, or exclude the inner one with `!`
6:22 error: `{temp}/a/b` lies inside `{temp}/a` of the cache `one` | use separate directories, or exclude the inner one with `!`
6:10 error: `{workspace}/build` contains `build/a/b` of the cache `one` | use separate directories, or exclude the inner one with `!`
6:10 error: `a/x` lies inside `a/**` of the cache `one` | use separate directories, or exclude the inner one with `!`
6:10 warning: `build` may match files of `**/node_modules` in the cache `one` | use separate directories, or exclude with `!`
6:10 error: `a/*.o` is already part of the cache `one` | use separate directories, or exclude the inner one with `!`
fine: [cache.one]
key = 'k'
paths = ['a', '!a/b']
[cache.two]
key = 'k'
paths = ['a/b']
fine: [cache.one]
key = 'k'
paths = ['{home}/.cargo', '!{home}/.cargo/registry']
[cache.two]
key = 'k'
paths = ['{home}/.cargo/registry']
6:10 error: `{home}/.cargo/registry` lies inside `{home}/.cargo` of the cache `one` | use separate directories, or exclude the inner one with `!`
");
}

/// Content links that are wrong or suspicious.
const LINKS: &[&str] = &[
    "links = { files = [] }",
    "links = { files = ['!*.md5'] }",
    "links = { files = ['*.md5', ''] }",
    "links = { files = ['/data/*.md5', '../*.md5', 'a[.md5'] }",
    "links = { files = ['**/*.sha3_256', '**/*.{cid,md5}', '**/*'] }",
    "links = { files = ['*.md5'], object = '{ALGO}' }",
    "links = { files = ['*.md5'], object = '../{hash}' }",
    "links = { files = ['*.md5'], object = '/{ALGO}/{hash}' }",
    "links = { files = ['*.md5'], object = '{os}/{hash}' }",
    "links = { files = ['*.md5'], mirrors = ['http://example.org/{hash}'] }",
    "links = { files = ['*.md5'], mirrors = ['http://127.0.0.1:8080/{hash}'] }",
    "links = { files = ['*.md5'], mirrors = ['data.example.org/{hash}'] }",
    "links = { files = ['*.md5'], mirrors = ['https://example.org/'] }",
    "links = { files = ['*.md5'], mirrors = ['ftp://example.org/{hash}'] }",
    "links = { files = ['*.md5'], mirrors = ['https://example.org/{files:a}/{hash}'] }",
];

#[test]
fn links_and_seeds() {
    insta::assert_snapshot!(found_in_cache(LINKS), @"
4:19 error: `files` matches no content links | add a glob such as `**/*.sha512`
4:19 error: `files` matches no content links | add a glob such as `**/*.sha512`
4:29 error: empty glob | write a glob such as `**/*.sha512`
4:20 error: the glob `/data/*.md5` is not relative to the workspace | write a relative path without `.` and `..`
4:35 error: the glob `../*.md5` is not relative to the workspace | write a relative path without `.` and `..`
4:47 error: `a[.md5` is not a glob: unclosed character class; missing ']' | escape special characters with brackets: `[*]`, `[[]`
4:20 warning: files in `.sha3_256` are not content links | the extension of a content link is its algorithm: cid, md5, sha1, sha224, sha256, sha384, sha512, sha3-224, sha3-256, sha3-384, sha3-512
4:39 error: `{ALGO}` puts all objects at the same path | add `{hash}`, the hash of the object
4:39 error: `../{hash}` does not lie below the cache's directory | write a relative path with `/`, without `..`, such as `{ALGO}/{hash}`
4:39 error: `/{ALGO}/{hash}` does not lie below the cache's directory | write a relative path with `/`, without `..`, such as `{ALGO}/{hash}`
4:40 error: `{os}` in `object` would make the layout differ between jobs | use only `{hash}`, `{ALGO}` and `{algo}`
4:41 error: `http://example.org/{hash}` is not encrypted, so it can be modified in transit | use `https://`; `http://` is allowed only for this machine
fine: [cache.c]
path = 'a'
key = 'k-{os}'
links = { files = ['*.md5'], mirrors = ['http://127.0.0.1:8080/{hash}'] }
4:41 error: the mirror `data.example.org/{hash}` is not a URL | start it with `https://`
4:41 error: the mirror `https://example.org/` has the same URL for every object | add `{hash}`
4:41 error: `ftp://` is not supported | use `https://` or `file:///`
4:62 error: `{files:a}` in a mirror stands for a digest of files | use it in `key` and `restore-keys`
");
    insta::assert_snapshot!(found_in_cache(&[
        "seed = { version = '1', from = [] }",
        "seed = { version = '', from = ['a.tar'] }",
        "seed = { version = '1', from = ['https://example.org/a.tar'] }",
        "seed = { version = '1', from = ['http://example.org/a.tar'] }",
        "seed = { version = '1', from = ['', 'file:a.tar', '/a.tar', '../a.tar', 'git+ssh://h/a'] }",
        "seed = { version = '1', from = ['a.tar', 'file://{workspace}/a.tar', '{temp}/a.tar'] }",
        "seed = { version = '1', from = ['a.tar'], sha256 = '12' }",
        "seed = { version = '1', from = ['a.tar'], sha256 = '…' }",
        "seed = { version = '1', from = ['a.tar'], md5 = 'd41d8cd98f00b204e9800998ecf8427e', sha1 = '' }",
        "seed = { version = '1', from = ['a.tar'], subdir = '../x' }",
        "seed = { version = '1', from = ['a.tar'], subdir = '/x' }",
    ]), @r#"
4:32 error: `from` is empty | add at least one archive
4:20 error: the version of a seed must be one line of text | write a name for its contents, such as the release `5.4.5`
4:33 error: the contents of `https://example.org/a.tar` cannot be verified | add a checksum such as `sha256 = "…"` to the seed, or content links to the cache
4:33 error: `http://example.org/a.tar` is not encrypted, so it can be modified in transit | use `https://`; `http://` is allowed only for this machine
4:33 error: the source of a seed is empty | write `https://…`, `file:///…` or a path
4:37 error: `file:a.tar` is not absolute | write `file:///` and an absolute path, or a path below the workspace without `file:`
4:51 error: `/a.tar` is an absolute path, which is ambiguous here | prefix it with `file://`
4:61 error: `../a.tar` lies outside the workspace | write a path below the workspace, or `file:///…`
4:73 error: `git+ssh://` is not supported | use `https://` or `file:///`
fine: [cache.c]
path = 'a'
key = 'k-{os}'
seed = { version = '1', from = ['a.tar', 'file://{workspace}/a.tar', '{temp}/a.tar'] }
4:52 error: not a checksum: sha256 needs 64 hexadecimal digits, found 2 characters | copy it from the release's list of checksums or from `sha256sum`
4:52 error: not a checksum: `…` is not a lower-case hexadecimal digit | copy it from the release's list of checksums or from `sha256sum`
4:92 error: the seed has more than one checksum: `sha1` | keep the strongest one
4:52 error: `../x` is not a directory in the archive | write a relative path with `/`, without `..`; omit `subdir` for the top of the archive
4:52 error: `/x` is not a directory in the archive | write a relative path with `/`, without `..`; omit `subdir` for the top of the archive
"#);
}

#[test]
fn names() {
    let long = "a".repeat(101);
    let caches = ["", "a b", ".a", "a.", "con", "Lpt1.x", &long, "ä", "a-1_b.c"];
    let texts = caches.map(|name| format!("[cache.'{name}']\npath = 'a'\nkey = 'k'"));
    insta::assert_snapshot!(found(&texts.each_ref().map(String::as_str)), @"
1:8 error: the name of the cache `` is empty | use letters, digits, `-`, `_` and `.`: the name becomes a directory in archives
1:8 error: the name of the cache `a b` contains a character other than letters, digits, `-`, `_` and `.` | use letters, digits, `-`, `_` and `.`: the name becomes a directory in archives
1:8 error: the name of the cache `.a` does not start with a letter or digit | use letters, digits, `-`, `_` and `.`: the name becomes a directory in archives
1:8 error: the name of the cache `a.` ends with `.`, which Windows removes | use letters, digits, `-`, `_` and `.`: the name becomes a directory in archives
1:8 error: the name of the cache `con` is a device name on Windows | use letters, digits, `-`, `_` and `.`: the name becomes a directory in archives
1:8 error: the name of the cache `Lpt1.x` is a device name on Windows | use letters, digits, `-`, `_` and `.`: the name becomes a directory in archives
1:8 error: the name of the cache `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` has more than 100 characters | use letters, digits, `-`, `_` and `.`: the name becomes a directory in archives
1:8 error: the name of the cache `ä` does not start with a letter or digit | use letters, digits, `-`, `_` and `.`: the name becomes a directory in archives
fine: [cache.'a-1_b.c']
path = 'a'
key = 'k'
");
    insta::assert_snapshot!(found_in_cache(&[
        "export = { Runner_Temp = 'x' }",
        "export = { LD_PRELOAD = 'x', GITHUB_TOKEN = 'x', ok = '{path}' }",
        "export = { '1a' = 'x', 'a b' = 'x' }",
        "export = { A = '{hash}', B = '{git:a}' }",
        "export = { a = 'x', A = 'y' }",
    ]), @"
4:12 error: `Runner_Temp` is not exported: it belongs to the runner or to cachekeep | export a variable that only the build reads, or set this one in the job
4:30 error: `GITHUB_TOKEN` is not exported: it belongs to the runner or to cachekeep | export a variable that only the build reads, or set this one in the job
4:12 error: `1a` is not a valid variable name | use letters, digits and `_`, and do not start with a digit
4:24 error: `a b` is not a valid variable name | use letters, digits and `_`, and do not start with a digit
4:17 error: `{hash}` in an exported variable stands for a part of an object's name | use it in `links.object` and `links.mirrors`
4:31 error: `{git:a}` in an exported variable stands for a digest of files | use it in `key` and `restore-keys`
4:12 error: `a` is already exported by `c` | export it from one cache only
");
    insta::assert_snapshot!(found(&["[cache.a]\npath = 'a'\nkey = 'k'\n[cache.A]\npath = 'b'\nkey = 'k'"]), @"4:8 error: the caches `a` and `A` differ only in case | rename one: on macOS and Windows they would share a directory");
}

#[test]
fn variables_with_secrets_are_expanded_as_credentials_of_mirrors_only() {
    let cache = |rest: &str| format!("[cache.c]\npath = 'p'\nkey = 'k'\n{rest}");
    let refused = [
        "[cache.c]\npath = 'p'\nkey = 'k-{env.github_token}'".to_owned(),
        "[cache.c]\npath = 'p'\nkey = 'k-1'\nrestore-keys = ['k-{env.DB_PASSWORD}']".to_owned(),
        "[cache.c]\npath = '{temp}/{env.MY_SECRET}'\nkey = 'k'".to_owned(),
        cache("export = { A = '{env.ACTIONS_RESULTS_URL}' }"),
        cache("seed = { version = '1', from = ['https://x/{env.API_KEY}'], sha256 = 'aa' }"),
        cache("links = { files = ['*.md5'], harvest = ['{env.AWS_ACCESS_KEY_ID}'] }"),
        cache("links = { files = ['*.md5'], mirrors = ['https://h/{env.A_TOKEN}/{hash}'] }"),
        cache("links = { files = ['*.md5'], mirrors = ['https://{env.A_TOKEN}/{hash}'] }"),
        cache("links = { files = ['*.md5'], mirrors = ['https://h/{hash}?@{env.A_TOKEN}'] }"),
    ];
    for text in &refused {
        let error = load(text).expect_err(text);
        let said = lines(&error.findings);
        assert!(said.contains("would show a secret") && said.contains("--var"), "{text}\n{said}");
    }
    let fine = cache("links = { files = ['*.md5'], mirrors = ['https://ci:{env.A_TOKEN}@h/{hash}'] }");
    load(&fine.replace("'k'", "'k-{env.CACHE_KEY}'")).expect("sound");
}

#[test]
fn limits_of_a_trim_are_checked() {
    insta::assert_snapshot!(found_in_cache(&[
        "trim = { }",
        "trim = { units = 'children', keep = 3, recency = 'created' }",
        "trim = { keep = 0 }",
        "trim = { max-size = '10%' }",
        "trim = { max-size = '{env.CCACHE_SIZE}' }",
        "trim = { max-size = '$CCACHE_SIZE' }",
        "trim = { max-size = '{links}' }",
        "trim = { max-size = '110%' }",
        "trim = { max-size = '500' }",
        "trim = { units = 'folders', keep = 1 }",
    ]), @r#"
4:8 error: `trim` sets no limit | add `max-size = "5GB"`, `unused-for = "5d"`, `keep = 3` or several of them
fine: [cache.c]
path = 'a'
key = 'k-{os}'
trim = { units = 'children', keep = 3, recency = 'created' }
4:17 error: `keep` cannot be 0 | write at least 1; with 0, the cache would be empty
fine: [cache.c]
path = 'a'
key = 'k-{os}'
trim = { max-size = '10%' }
fine: [cache.c]
path = 'a'
key = 'k-{os}'
trim = { max-size = '{env.CCACHE_SIZE}' }
4:22 error: `$CCACHE_SIZE` is a variable of a shell, which is not expanded here | write `{env.CCACHE_SIZE}`
4:22 error: `{links}` in a size stands for a digest of files | use it in `key` and `restore-keys`
4:21 error: `110%` is out of range | (none)
4:21 warning: `500` has no unit, so it means 500 B | write a unit, such as `"500GB"`
4:18 error: `cache.c.trim.units` cannot be `folders` | write one of `files`, `children`
"#);
}

#[test]
fn the_stores_around_the_store_are_other_ones() {
    insta::assert_snapshot!(found(&[
        "fallback = 'auto'",
        "store = 's3://bucket/p'\nfallback = 's3://bucket/p'",
        "store = 's3://bucket/p'\nfallback = '/srv/cache'",
        "store = 's3://bucket/p'\nfront = 'github'",
        "store = 'file:///srv/cache'\nfront = 'file:///srv/front'",
        "store = 's3://bucket/p'\nfallback = 'file:///srv/a'\nfront = 'file:///srv/a'",
    ]), @r"
1:12 error: `auto` is not a fallback | name the store: `github`, a directory or an object service
2:12 error: `fallback` is the store itself | name another store, or remove `fallback`
2:12 error: `/srv/cache` is not a store | write `file:///srv/cache`; directories are given as URLs
2:9 error: `front` is not a directory | write `file:///` and an absolute path on the machine of the job
2:9 warning: `front` has no effect: the store is a directory | remove `front`; it keeps copies of a store elsewhere
3:9 error: `front` and `fallback` are one directory | remove `fallback`: a front answers where the store does not
");
    let crate::config::Loaded { spec, warnings } =
        load("store = 's3://bucket/p'\nfallback = 'github'\nfront = 'file:///srv/front'").expect("sound");
    assert_eq!((warnings, spec.fallback), (vec![], Some(StoreLocation::GitHub)));
    assert_eq!(spec.front, Some("/srv/front".into()));
}

#[test]
fn a_quota_is_one_of_a_store_of_our_own() {
    insta::assert_snapshot!(found(&[
        "quota = '0'",
        "quota = '50'",
        "store = 'github'\nquota = '9GB'",
        "store = 's3://bucket/p'\nquota = '10%'",
    ]), @r#"
1:9 error: `quota` leaves no room for an entry | give it a size, or remove it where nothing is to be kept
1:9 warning: `50` has no unit, so it means 50 B | write a unit, such as `"50GB"`
2:9 warning: `quota` has no effect: GitHub keeps a budget of its own | write `budget` in `[clean]`, and run `cachekeep clean` every night
2:9 error: a share is one of a volume, and an object service has none | write a size, such as `"50GB"`
"#);
    let quota = |text| load(text).expect("sound").spec.quota;
    assert_eq!(quota("quota = '10%'"), Some(SizeOrShare::Percent(10.0)));
    assert_eq!(
        quota("store = 's3://bucket/p'\nquota = '5GB'"),
        Some(SizeOrShare::Bytes(ByteSize(5_000_000_000)))
    );
    assert_eq!(quota(""), None);
}

#[test]
fn what_may_be_freed_is_a_path_or_a_name_of_the_table() {
    let found = found(&["[disk]\nfree = ['docker:everything']", "[disk]\nfree = ['build/*']"]);
    assert!(found.contains("`docker:everything` is not something that can be freed by name"), "{found}");
    assert!(found.contains("or one of hosted:android, ") && found.contains("without wildcards"), "{found}");
    let spec = load("[disk]\nfree = ['{workspace}/build', 'hosted:android']").expect("sound").spec;
    let names: Vec<String> = spec.disk.free.iter().map(crate::domain::freeable::Freeable::name).collect();
    assert_eq!(names, ["{workspace}/build", "hosted:android"]);
}

#[test]
fn source_times_of_paths_of_their_own_are_a_warning() {
    let warnings = |text: &str| load(text).unwrap_or_else(|error| panic!("{error}")).warnings;
    let own = warnings("[cache.c]\nkind = 'cargo'\npath = 'target'\nkey = 'k'\nmtime = 'content'");
    assert!(format!("{own:?}").contains("`mtime` has no effect on a cache with paths of its own"), "{own:?}");
    assert!(warnings("[cache.c]\nkind = 'cargo'\nmtime = 'content'").is_empty());
}

#[test]
fn a_kind_brings_what_is_not_given() {
    let load_cache = |text: &str| load(text).unwrap_or_else(|error| panic!("{error}")).spec.caches.remove(0);
    let all = load_cache("[cache.deps]\nkind = 'npm'");
    assert_eq!(all.kind.map(|kind| kind.name), Some("npm"));
    assert_eq!(all.restore_keys.len(), 1);
    assert!(all.key.source().starts_with("deps-{os}-{arch}-{files:**/package-lock.json"), "{}", all.key);
    assert!(all.is_in_usual_place());
    let own =
        load_cache("[cache.c]\nkind = 'ccache'\npath = 'x'\nkey = 'k'\nexport = { CCACHE_BASEDIR = '/' }");
    assert_eq!((own.key.source(), own.restore_keys.len(), own.paths.len()), ("k", 0, 1));
    assert_eq!(own.export["CCACHE_BASEDIR"].source(), "/");
    assert!(!own.is_in_usual_place() && !own.kind_exports.contains("CCACHE_BASEDIR"));
    assert!(own.kind_exports.contains("CCACHE_DIR"));
    insta::assert_snapshot!(found(&[
        "[cache.c]\nkind = 'cache'",
        "[cache.c]\nkind = 'npm'\npath = 'a'\npaths = ['b']",
        "[cache.c]\nkind = 'npm'\ntrim = { evict = 'job' }",
        "[cache.a]\nkind = 'gradle'\n[cache.b]\nkind = 'gradle'",
        "[cache.c]\nrole = 'writer'",
        "[cache.c]\npath = '{tool:rustc}'\nkey = '{tool:}'",
    ]), @r#"
2:8 error: `cache.c.kind` cannot be `cache` | did you mean `"ccache"`?
3:8 error: the cache `c` has both `path` and `paths` | move `path` into the list of `paths`
3:18 error: `evict = "job"` needs a tool that records each use of a file | use it with `kind = "ccache"` or `"sccache"`; elsewhere use `unused-for`
3:8 error: `{home}/.gradle/caches` is already part of the cache `a` | use separate directories, or exclude the inner one with `!`
3:8 error: `{home}/.gradle/wrapper` is already part of the cache `a` | use separate directories, or exclude the inner one with `!`
1:8 error: `[cache.c]` has no `path` | add `path`: the directory to cache, absolute or relative to the workspace; globs are allowed
1:8 error: `[cache.c]` has no `key` | add `key`: the key of its entries, such as `deps-v1-{os}-{files:**/*.lock}`
2:9 error: `{tool:rustc}` in a path stands for the version of a program | use it in `key` and `restore-keys`
3:8 error: `{tool:}` is not a placeholder | write the name of a program on PATH, such as `{tool:rustc}`
"#);
}
