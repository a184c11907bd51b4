//! Every message with its place and hint, and the meaning of a valid file.

mod clean;
mod fields;
mod inputs;
mod newcomers;

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::domain::finding::Finding;
use crate::domain::spec::{Role, SavePolicy, StoreLocation};
use crate::domain::trim::{Recency, SizeLimit, TrimUnits};
use crate::domain::unit::{ByteSize, SizeOrShare};

const FULL: &str = r#"
store = "file:///srv/ci-cache"

[cache.externaldata]
path         = "{temp}/ExternalData"
key          = "externaldata-v1-{links}"
restore-keys = ["externaldata-v1-"]
role         = "consumer"
export       = { ExternalData_OBJECT_STORES = "{path}" }

[cache.externaldata.links]
files   = ["**/*.cid", "**/*.sha512"]
object  = "{ALGO}/{hash}"
mirrors = ["https://data.example.org/{ALGO}/{hash}", "https://ipfs.io/ipfs/{hash}"]

[cache.externaldata.seed]
version = "5.4.5"
from    = ["https://example.org/releases/InsightData-5.4.5.tar.gz"]
md5     = "D41D8CD98F00B204E9800998ECF8427E"
subdir  = "InsightToolkit-5.4.5/.ExternalData/"

[cache.ccache]
paths        = ["{temp}/ccache", "!{temp}/ccache/tmp", "~/.ccache/*.conf"]
key          = "ccache-v4-{os}-{var.variant}-{sha}"
restore-keys = ["ccache-v4-{os}-{var.variant}-"]
save         = "always"
export       = { CCACHE_DIR = "{path}" }
trim         = { max-size = "5GB", unused-for = "5d" }

[disk]
reserve = "2GiB"
"#;

fn load(text: &str) -> Result<Loaded, ConfigError> {
    parse(text, Path::new("cachekeep.toml"))
}

/// One line for each finding: place, severity, message, hint.
fn lines(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let place =
            finding.location.as_ref().map_or(String::from("-"), |p| format!("{}:{}", p.line, p.column));
        let hint = finding.hint.as_deref().unwrap_or("(none)");
        format!("{place} {}: {} | {hint}", finding.severity, finding.message)
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The findings of several texts.
fn found(texts: &[&str]) -> String {
    let of = |text: &&str| match load(text) {
        Ok(loaded) if loaded.warnings.is_empty() => format!("fine: {text}"),
        Ok(loaded) => lines(&loaded.warnings),
        Err(error) => lines(&error.findings),
    };
    texts.iter().map(of).collect::<Vec<_>>().join("\n")
}

/// The same for lines of one cache whose path and key are given unless the lines give them.
fn found_in_cache(bodies: &[&str]) -> String {
    let whole = |body: &&str| {
        let path = if body.starts_with("path") { "" } else { "path = 'a'\n" };
        let key = if body.starts_with("key") { "" } else { "key = 'k-{os}'\n" };
        format!("[cache.c]\n{path}{key}{body}")
    };
    let texts: Vec<String> = bodies.iter().map(whole).collect();
    found(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_valid_file_is_loaded_without_findings() {
    let Loaded { spec, warnings } = load(FULL).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warnings, []);
    assert_eq!(spec.store, StoreLocation::Directory("/srv/ci-cache".into()));
    assert_eq!(spec.disk.reserve, SizeOrShare::Bytes(ByteSize(2 << 30)));
    let data = spec.cache("externaldata").expect("declared");
    assert_eq!((data.role, data.save), (Role::Consumer, SavePolicy::Success));
    assert_eq!(data.export["ExternalData_OBJECT_STORES"].source(), "{path}");
    let links = data.links.as_ref().expect("declared");
    assert_eq!((links.files.len(), links.object.source(), links.mirrors.len()), (2, "{ALGO}/{hash}", 2));
    let seed = data.seed.as_ref().expect("declared");
    let (algorithm, digest) = seed.checksum.as_ref().expect("declared");
    assert_eq!(format!("{algorithm} {digest}"), "md5 d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(seed.subdir.as_deref(), Some("InsightToolkit-5.4.5/.ExternalData"));
    let ccache = spec.cache("ccache").expect("declared");
    let paths: Vec<_> = ccache.paths.iter().map(|path| (path.exclude, path.pattern.source())).collect();
    assert_eq!(
        paths,
        [(false, "{temp}/ccache"), (true, "{temp}/ccache/tmp"), (false, "{home}/.ccache/*.conf")]
    );
    let trim = ccache.trim.as_ref().expect("declared");
    let size = SizeLimit::Fixed(SizeOrShare::Bytes(ByteSize(5_000_000_000)));
    assert_eq!((trim.units, &trim.max_size), (TrimUnits::Files, &Some(size)));
    assert_eq!((trim.keep, trim.recency), (None, Recency::Modified));
}

#[test]
fn omitted_fields_have_their_defaults() {
    let Loaded { spec, warnings } =
        load("[cache.c]\npath = 'a'\nkey = 'k'\nlinks.files = ['*.md5']").expect("sound");
    assert_eq!((warnings, spec.store), (vec![], StoreLocation::Auto));
    assert_eq!(spec.disk.reserve, SizeOrShare::Lesser(5.0, ByteSize(2 << 30)));
    let cache = &spec.caches[0];
    assert_eq!((cache.role, cache.save, &cache.trim), (Role::Writer, SavePolicy::Success, &None));
    assert_eq!(cache.links.as_ref().expect("declared").object.source(), "{ALGO}/{hash}");
    assert_eq!(load("").expect("sound").spec.caches, []);
    assert_eq!(load("\u{feff}store = 'auto'\r\n").expect("sound").spec.caches, []);
}

#[test]
fn a_finding_is_shown_with_its_line() {
    let error = load("[cache.a]\npath = \"x\"\n\tkye  = \"deps\"\n\n[disk]\nreserve = '5 parsecs' # much\n");
    insta::assert_snapshot!(error.expect_err("two errors"), @r#"
cachekeep.toml has 2 errors

error: unknown field `kye` in `[cache.a]`
 --> cachekeep.toml:3:2
  |
3 |  kye  = "deps"
  |  ^^^
  = hint: did you mean `key`?

error: `parsecs` in `5 parsecs` is not a unit; write one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB
 --> cachekeep.toml:6:11
  |
6 | reserve = '5 parsecs' # much
  |           ^^^^^^^^^^^
"#);
}

#[test]
fn syntax() {
    insta::assert_snapshot!(found(&["key = ", "[cache.a", "a = 1\na = 2", "[cache.a]\nkey = \"x\n", "x = 1979-13-01"]), @r#"
1:7 error: string values must be quoted, expected literal string | (none)
1:9 error: unclosed table, expected `]` | (none)
2:1 error: duplicate key | (none)
2:9 error: invalid basic string, expected `"` | (none)
1:5 error: invalid date, expected month between 01 and 12 | (none)
"#);
}

/// Fields of a cache that are not what they must be.
const SHAPES: &[&str] = &[
    "restore_keys = ['k']",
    "restore-keys = 'k-'",
    "restore-keys = ['k', 1.5, true, 1979-01-01]",
    "role = 'writr'",
    "role = 'reader'",
    "save = true",
    "trim = '5GB'",
    "trim = {}",
    "trim = { max-size = '5XB', unused-for = '3 days' }",
    "trim = { unused-for = '99999999999999999999w' }",
    "trim = { units = 'ccache', max-size = '5G' }",
    "links = { file = ['*.md5'] }",
    "links = {}",
    "key = 'k-{links}'\nlinks = { files = 1 }",
    "key = 'k-{links}'\nlink = { files = ['*.md5'] }",
    "seed = { version = 5.4, from = 'x.tar' }",
];

#[test]
fn shapes() {
    insta::assert_snapshot!(found(&[
        "stores = 'auto'",
        "[cleaner]\nunused-for = '7d'",
        "[disk]\nfree = ['{workspace}/build']",
        "[cache]\nc = 'x'",
        "cache = 1",
        "[[cache]]\nkey = 'x'",
        "[cache.c]",
        "[cache.c]\npth = 'a'\nkye = 'k'",
        "[cache.c]\npath = ['a']\nkey = 1",
        "[cache.c]\npath = 'a'\npaths = ['b']\nkey = 'k'",
    ]), @r#"
1:1 error: unknown field `stores` | did you mean `store`?
1:2 error: unknown field `cleaner` | did you mean `clean`?
fine: [disk]
free = ['{workspace}/build']
2:5 error: `cache.c` must be a table, not a string | (none)
1:9 error: `cache` must be a table, not a whole number | (none)
1:1 error: `cache` must be a table, not a list | (none)
1:8 error: `[cache.c]` has no `path` | add `path`: the directory to cache, absolute or relative to the workspace; globs are allowed
1:8 error: `[cache.c]` has no `key` | add `key`: the key of its entries, such as `deps-v1-{os}-{files:**/*.lock}`
2:1 error: unknown field `pth` in `[cache.c]` | did you mean `path`?
3:1 error: unknown field `kye` in `[cache.c]` | did you mean `key`?
2:8 error: `cache.c.path` must be a string, not a list | write `paths = […]`
3:7 error: `cache.c.key` must be a string, not a whole number | write `"1"`
2:8 error: the cache `c` has both `path` and `paths` | move `path` into the list of `paths`
"#);
    insta::assert_snapshot!(found_in_cache(SHAPES), @r#"
4:1 error: unknown field `restore_keys` in `[cache.c]` | did you mean `restore-keys`?
4:16 error: `cache.c.restore-keys` must be a list of strings, not a string | write `restore-keys = ["k-"]`
4:22 error: `cache.c.restore-keys[1]` must be a string, not a number | write `"1.5"`
4:27 error: `cache.c.restore-keys[2]` must be a string, not a boolean | (none)
4:33 error: `cache.c.restore-keys[3]` must be a string, not a date | (none)
4:8 error: `cache.c.role` cannot be `writr` | did you mean `"writer"`?
4:8 error: `cache.c.role` cannot be `reader` | write one of `writer`, `consumer`
4:8 error: `cache.c.save` must be a string, not a boolean | (none)
4:8 error: `cache.c.trim` must be a table, not a string | (none)
4:8 error: `trim` sets no limit | add `max-size = "5GB"`, `unused-for = "5d"`, `keep = 3` or several of them
4:21 error: `XB` in `5XB` is not a unit; write one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB | (none)
4:41 error: `days` in `3 days` is not a unit; write one of s, m, h, d, w | (none)
4:23 error: `99999999999999999999w` is out of range | (none)
4:18 error: `cache.c.trim.units` cannot be `ccache` | write one of `files`, `children`
4:11 error: unknown field `file` in `[cache.c.links]` | did you mean `files`?
4:1 error: `[cache.c.links]` has no `files` | add `files`: globs relative to the workspace that match the links, such as `**/*.sha512`; a leading `!` excludes
4:19 error: `cache.c.links.files` must be a list of strings, not a whole number | (none)
4:1 error: unknown field `link` in `[cache.c]` | did you mean `links`?
4:20 error: `cache.c.seed.version` must be a string, not a number | write `"5.4"`
4:32 error: `cache.c.seed.from` must be a list of strings, not a string | write `from = ["x.tar"]`
"#);
}

#[test]
fn stores() {
    insta::assert_snapshot!(found(&[
        "store = 'auto'",
        "store = 'file:///srv/my%20cache'",
        "store = 'file://localhost/srv'",
        "store = 'file:/srv'",
        "store = 'file:cache'",
        "store = 'file://./cache'",
        "store = '/srv/cache'",
        "store = 's3://bucket/some/prefix/'",
        "store = 'gs://bucket_with.dots'",
        "store = 'az://account/container/prefix'",
        "store = 'https://account.blob.core.windows.net/container'",
        "store = 'https://example.org/container'",
        "store = 'https://account.blob.core.windows.net/container?sig=hush'",
        "store = 'az://container'",
        "store = 'az://Account/container'",
        "store = 's3://'",
        "store = 's3://bucket/../x'",
        "store = 's3://bucket/{temp}'",
        "store = 'github'",
        "store = ''",
        "store = 'file:///'",
        "store = 'file:///srv/../x'",
        "store = 'file:///{temp}/x'",
        "store = 'file:///srv/%zz'",
        "store = 'file:///srv/%00'",
    ]), @"
fine: store = 'auto'
fine: store = 'file:///srv/my%20cache'
fine: store = 'file://localhost/srv'
fine: store = 'file:/srv'
1:9 error: `file:cache` is relative, and jobs start in different directories | write `file:///` and an absolute path that ends in `cache`
1:9 error: `file://./cache` has no absolute path: the part after `//` is a host name | write `file:///` and an absolute path
1:9 error: `/srv/cache` is not a store | write `file:///srv/cache`; directories are given as URLs
fine: store = 's3://bucket/some/prefix/'
fine: store = 'gs://bucket_with.dots'
fine: store = 'az://account/container/prefix'
fine: store = 'https://account.blob.core.windows.net/container'
1:9 error: `https://example.org/container` is not a store: the host is not that of an Azure storage account | write `auto`, `github`, `file:///` and an absolute path, `az://ACCOUNT/CONTAINER/PREFIX`, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`
1:9 error: the store at `https://account.blob.core.windows.net/container` has a query, and a location contains no secret | remove it; a shared access signature belongs in AZURE_STORAGE_SAS_TOKEN
1:9 error: `az://container` names no container or bucket | write `auto`, `github`, `file:///` and an absolute path, `az://ACCOUNT/CONTAINER/PREFIX`, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`
1:9 error: `Account` is not the name of an Azure storage account | write `az://ACCOUNT/CONTAINER/PREFIX`; the account has 3 to 24 lower-case letters and digits
1:9 error: `s3://` names no container or bucket | write `auto`, `github`, `file:///` and an absolute path, `az://ACCOUNT/CONTAINER/PREFIX`, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`
1:9 error: the prefix in `s3://bucket/../x` is not usable | write letters, digits, `-`, `.` and `_` between slashes
1:9 error: the prefix in `s3://bucket/{temp}` is not usable | write letters, digits, `-`, `.` and `_` between slashes
fine: store = 'github'
1:9 error: `` is not a store | write `auto`, `github`, `file:///` and an absolute path, `az://ACCOUNT/CONTAINER/PREFIX`, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`
1:9 error: `file:///` is not a usable directory for a store | write `file:///` and an absolute path
1:9 error: `file:///srv/../x` is not a usable directory for a store | write `file:///` and an absolute path
1:9 error: `file:///{temp}/x` contains a placeholder, which is not allowed in a store | write `file:///` and an absolute path
1:9 error: `file:///srv/%zz` has a `%` that is not followed by two hexadecimal digits of UTF-8 | write `file:///` and an absolute path
1:9 error: `file:///srv/%00` is not a usable directory for a store | write `file:///` and an absolute path
");
}

#[test]
fn deep_nesting_is_an_error() {
    for open in ["[", "{a="] {
        assert!(load(&format!("store = {}", open.repeat(100_000))).is_err());
    }
}

#[test]
fn every_field_of_a_cache_is_described_in_the_schema() {
    let schema = schema();
    let known = |pointer: &str| schema.pointer(pointer).is_some();
    for field in ["path", "paths", "key", "restore-keys", "role", "save", "export", "links", "seed", "trim"] {
        assert!(
            known(&format!("/properties/cache/additionalProperties/properties/{field}/description")),
            "{field}"
        );
    }
    assert!(!schema.to_string().contains("null"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\[cache\\.a\\]\n)?(([a-z\\-]{1,6}|path|key|store|trim|seed|links) ?[=.] ?(\"[^\"\n]{0,12}\"|\\PC{0,8}|\\{ \\PC{0,9} \\})\n?){0,6}") {
        let _ = load(&text);
    }

    #[test]
    fn no_damage_to_a_sound_file_makes_it_panic(at in 0..FULL.len(), length in 0usize..40, put in "\\PC{0,3}|[\\]\"'{}.=\n]{0,4}") {
        let (Some(before), Some(after)) = (FULL.get(..at), FULL.get((at + length).min(FULL.len())..)) else {
            return Ok(());
        };
        if let Err(error) = load(&format!("{before}{put}{after}")) {
            prop_assert!(error.errors().count() > 0);
            prop_assert!(error.findings.iter().all(|finding| finding.location.is_some()));
        }
    }

}
