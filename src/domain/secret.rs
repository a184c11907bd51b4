//! Secrets that cannot be printed, and the names of variables that hold secrets.

use std::fmt;

/// A token, a signed URL or a password: only [`Secret::expose`] reveals it, so logs and `Debug` output cannot.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The secret itself, for the code that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Parts of names of variables that hold secrets, in upper case.
const SECRET_PARTS: [&str; 7] =
    ["TOKEN", "SECRET", "PASSW", "CREDENTIAL", "API_KEY", "ACCESS_KEY", "PRIVATE_KEY"];

/// Start of the names by which GitHub hands its services to a job, in upper case.
const SERVICE_PREFIX: &str = "ACTIONS_";

/// Whether a variable of this name is taken for a secret, without regard to case: it never becomes part of a key, a path, an
/// exported value or a URL.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    upper.starts_with(SERVICE_PREFIX) || SECRET_PARTS.iter().any(|part| upper.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_with_secrets_are_known_by_their_names() {
        for name in "GITHUB_TOKEN github_token SYSTEM_ACCESSTOKEN MY_SECRET_X DB_PASSWORD db_passwd GOOGLE_APPLICATION_CREDENTIALS \
                     Api_Key AWS_ACCESS_KEY_ID SSH_PRIVATE_KEY ACTIONS_CACHE_URL actions_runtime_url"
            .split_whitespace()
        {
            assert!(is_secret_name(name), "{name}");
        }
        for name in
            "CACHE_KEY CCACHE_SIZE KEY PASS APIKEY_FILE MY_ACTIONS_X PUBLIC_KEY RUNNER_OS".split_whitespace()
        {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Some(Secret::new("hush"))), "Some(***)");
    }
}
