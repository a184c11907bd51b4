//! The search: known secrets in any form they travel in, and what looks like a secret without being listed as one.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use aho_corasick::AhoCorasick;

/// What was kept, and the secrets that none of it may show. `tests/support/src/capture.rs` writes both.
#[derive(Default)]
pub(crate) struct Captures {
    files: Vec<Capture>,
    /// Class and secret.
    secrets: Vec<(String, Vec<u8>)>,
}

struct Capture {
    name: String,
    bytes: Vec<u8>,
}

/// A secret that is shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) file: String,
    pub(crate) line: usize,
    /// What kind of secret.
    pub(crate) what: String,
    /// The beginning of the line.
    pub(crate) shown: String,
}

/// Commands that ask a runner to mask a secret, and so contain it; allowed in the runner's own log only.
const MASKS: [(&str, &str); 2] = [("github", "::add-mask::"), ("azure", "##vso[task.setsecret]")];

impl Captures {
    /// Everything in a directory.
    pub(crate) fn read(directory: &Path) -> Result<Self, Box<dyn Error>> {
        let mut captures = Captures::default();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            captures.add(&name, std::fs::read(entry.path())?);
        }
        captures.files.sort_by(|a, b| a.name.cmp(&b.name));
        captures.secrets.sort();
        captures.secrets.dedup();
        Ok(captures)
    }

    fn add(&mut self, name: &str, bytes: Vec<u8>) {
        match name.strip_prefix("secret.") {
            Some(rest) => self.secrets.push((first_part(rest), bytes)),
            None => self.files.push(Capture { name: name.to_owned(), bytes }),
        }
    }

    /// How many there are of each kind and part.
    pub(crate) fn kinds(&self) -> BTreeMap<String, usize> {
        let name = |file: &Capture| format!("{}/{}", first_part(&file.name), log_and_part(&file.name).1);
        count(self.files.iter().map(name))
    }

    /// How many secrets there are of each class.
    pub(crate) fn classes(&self) -> BTreeMap<String, usize> {
        count(self.secrets.iter().map(|(class, _)| class.clone()))
    }

    /// Every line that shows a secret.
    pub(crate) fn search(&self) -> Result<Vec<Finding>, Box<dyn Error>> {
        let forms: Vec<(&str, Vec<u8>)> = self
            .secrets
            .iter()
            .flat_map(|(class, secret)| {
                [secret.clone(), percent_encoded(secret)].map(|form| (class.as_str(), form))
            })
            .collect();
        let known = AhoCorasick::new(forms.iter().map(|(_, form)| form))?;
        let what = |line: &[u8]| match known.find(line) {
            Some(found) => Some(forms[found.pattern()].0.to_owned()),
            None => looks_like_a_secret(line).map(str::to_owned),
        };
        // A search that does not find what is there would find nothing for ever.
        for (class, secret) in &self.secrets {
            let planted = [b"planted=".as_slice(), secret, b"&"].concat();
            what(&planted).ok_or_else(|| format!("a planted secret of class `{class}` is not found"))?;
        }
        let mut findings = Vec::new();
        for file in &self.files {
            let (log, part) = log_and_part(&file.name);
            for (number, line) in file.bytes.split(|byte| *byte == b'\n').enumerate() {
                let is_mask = matches!(part, "stdout" | "stderr")
                    && MASKS
                        .iter()
                        .any(|(dialect, start)| *dialect == log && line.starts_with(start.as_bytes()));
                if let Some(what) = what(line).filter(|_| !is_mask) {
                    let shown = String::from_utf8_lossy(line).chars().take(300).collect();
                    findings.push(Finding { file: file.name.clone(), line: number + 1, what, shown });
                }
            }
        }
        Ok(findings)
    }
}

/// What there is too little of: a search that looks at nothing finds nothing.
pub(crate) fn lacks(what: &str, floors: &[(&str, usize)], counts: &BTreeMap<String, usize>) -> Vec<String> {
    let lack = |(kind, floor): &(&str, usize)| {
        let found = counts.get(*kind).copied().unwrap_or(0);
        (found < *floor).then(|| format!("{found} {what} of kind `{kind}`, {floor} at least are expected"))
    };
    floors.iter().filter_map(lack).collect()
}

fn count(names: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    names.fold(BTreeMap::new(), |mut counts, name| {
        *counts.entry(name).or_default() += 1;
        counts
    })
}

fn first_part(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_owned()
}

/// The platform whose runner reads this log, and the part of the log.
fn log_and_part(name: &str) -> (&str, &str) {
    let mut parts = name.split('.').skip(1);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn percent_encoded(secret: &[u8]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let encode = |byte: &u8| if plain(byte) { vec![*byte] } else { format!("%{byte:02X}").into_bytes() };
    secret.iter().flat_map(encode).collect()
}

/// A token or a signature by its shape.
fn looks_like_a_secret(line: &[u8]) -> Option<&'static str> {
    let after = |start: &'static [u8]| {
        let found =
            move |(at, window): (usize, &[u8])| window.eq_ignore_ascii_case(start).then(|| at + start.len());
        line.windows(start.len()).enumerate().filter_map(found).map(|at| &line[at..])
    };
    let word = |text: &[u8]| {
        text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).count()
    };
    let is_token = |rest: &[u8]| {
        let head = word(rest);
        head >= 8 && rest[head..].starts_with(b".eyJ")
    };
    if after(b"eyJ").any(is_token) {
        return Some("what looks like a token");
    }
    let is_shown = |rest: &[u8]| {
        let masked =
            [b"***".as_slice(), b"%2A%2A%2A", b"\\*\\*\\*"].iter().any(|mask| rest.starts_with(mask));
        !masked && rest.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"%+/".contains(byte))
    };
    for start in [b"?sig=".as_slice(), b"&sig="] {
        if after(start).any(is_shown) {
            return Some("a signature in a URL");
        }
    }
    let is_header = |rest: &[u8]| word(rest) >= 12;
    [b"authorization: bearer ".as_slice(), b"authorization: basic "]
        .iter()
        .any(|start| after(start).any(is_header))
        .then_some("an Authorization header")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNATURE: &str = "a+b/c0123456789=";

    fn found(name: &str, contents: &str) -> Vec<(usize, String)> {
        let mut captures = Captures::default();
        captures.add("secret.signature.x", SIGNATURE.into());
        captures.add("secret.api-token.x", "ghs_planted".into());
        captures.add(name, contents.into());
        let findings = captures.search().expect("a search");
        assert!(findings.iter().all(|finding| finding.file == name));
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn a_planted_secret_is_found_wherever_and_however_it_is_shown() {
        let signature = "a signature in a URL";
        let cases = [
            ("the token is ghs_planted!", "api-token"),
            ("a+b/c0123456789=", "signature"),
            ("x%3Da%2Bb%2Fc0123456789%3D", "signature"),
            ("http://h/c/b?se=1&sig=zzz%2B", signature),
            ("http://h/c/b?SIG=Zz", signature),
            ("eyJhbGciOiJIUzI1.eyJhYyI6IltdIn0.abc", "what looks like a token"),
            ("> Authorization: Bearer abcdefghijklmnop", "an Authorization header"),
            (" ::add-mask::ghs_planted", "api-token"),
        ];
        for name in [
            "binary.github.stderr.x",
            "act.plain.stdout.x",
            "summary.github.file.x",
            "process.plain.list.all",
        ] {
            for (line, what) in cases {
                assert_eq!(
                    found(name, &format!("first\n{line}\nlast")),
                    [(2, what.to_owned())],
                    "{name}: {line}"
                );
            }
        }
    }

    #[test]
    fn what_is_masked_is_no_secret() {
        for line in [
            "http://h/c/b?se=1&sig=***",
            "?sig=***&se=1",
            "Authorization: Bearer ***",
            "sig= is left out",
            "eyJ",
        ] {
            assert_eq!(found("binary.plain.stderr.x", line), [], "{line}");
        }
    }

    #[test]
    fn a_mask_may_hold_its_secret_only_where_a_runner_reads_it() {
        let github = "::add-mask::ghs_planted\n";
        let azure = "##vso[task.setsecret]ghs_planted\n";
        for (name, line, count) in [
            ("binary.github.stderr.x", github, 0),
            ("binary.azure.stderr.x", azure, 0),
            ("step.github.stdout.x", github, 0),
            ("binary.azure.stderr.x", github, 1),
            ("binary.plain.stderr.x", github, 1),
            ("summary.github.file.x", github, 1),
            ("binary.github.arguments.x", github, 1),
        ] {
            assert_eq!(found(name, line).len(), count, "{name}: {line}");
        }
    }

    #[test]
    fn a_search_that_looks_at_too_little_is_told() {
        let mut captures = Captures::default();
        let floors = [("binary/stdout", 2), ("act/stderr", 1)];
        assert_eq!(lacks("captures", &floors, &captures.kinds()).len(), 2);
        captures.add("binary.plain.stdout.x", Vec::new());
        captures.add("binary.plain.stdout.y", Vec::new());
        captures.add("secret.act.y", b"no capture".to_vec());
        let missing = lacks("captures", &floors, &captures.kinds());
        assert_eq!(missing, ["0 captures of kind `act/stderr`, 1 at least are expected"]);
        assert_eq!(lacks("secrets", &[("act", 1)], &captures.classes()), [""; 0]);
    }
}
