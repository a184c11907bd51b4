//! Tests of which paths rules take.

use super::*;

fn rules(lines: &[&str]) -> Vec<PathRule> {
    rules_in("/w", lines)
}

fn rules_in(base: impl AsRef<Path>, lines: &[&str]) -> Vec<PathRule> {
    let rule = |line: &&str| {
        let (exclude, pattern) = line.strip_prefix('!').map_or((false, *line), |rest| (true, rest));
        PathRule { exclude, base: base.as_ref().to_owned(), pattern: pattern.to_owned() }
    };
    lines.iter().map(rule).collect()
}

fn check_roots(lines: &[&str], expect: &[&str]) {
    let selections = resolve(&rules(lines)).expect("rules that resolve").selections;
    let roots: Vec<_> = selections.iter().map(|s| s.root.to_str().expect("text")).collect();
    assert_eq!(roots, expect, "{lines:?}");
}

#[test]
fn a_root_is_what_comes_before_the_first_wildcard() {
    check_roots(&["/a/b"], &["/a/b"]);
    check_roots(&["/a/b/", "/a/c/./d"], &["/a/b", "/a/c/d"]);
    check_roots(&["/a/b/**"], &["/a/b"]);
    check_roots(&["/a/b/*.txt", "/a/b/x/**/*.o"], &["/a/b"]);
    check_roots(&["/a/x/../b/c?"], &["/a/b"]);
    check_roots(&["/a/[*]b/c"], &["/a/*b/c"]);
    check_roots(&[r"/a/\[b/c"], &["/a/[b/c"]);
}

#[test]
fn roots_keep_the_order_in_which_they_are_first_written() {
    check_roots(&["/z", "/a", "!/z/x", "/z/**"], &["/z", "/a"]);
    check_roots(&["/z/a/b", "/m", "/z/a"], &["/z/a", "/m"]);
    check_roots(&["/ab", "/a"], &["/ab", "/a"]);
}

fn check(lines: &[&str], path: &str, is_dir: bool, expect: Verdict) {
    let selections = resolve(&rules(lines)).expect("rules that resolve").selections;
    let selection = &selections[0];
    assert_eq!(selection.verdict(Path::new(path), is_dir), expect, "{lines:?} on {path}");
}

#[test]
fn the_last_match_wins_and_counts_for_all_below() {
    use Verdict::{Descend, Skip, Take};
    check(&["/r"], "", true, Take);
    check(&["/r"], "a/.b/c", false, Take);
    check(&["/r", "!/r/a"], "a", true, Skip);
    check(&["/r", "!/r/a"], "a/b", false, Skip);
    check(&["/r", "!/r/a"], "ab", false, Take);
    check(&["/r", "!/r/a", "/r/a/k"], "a", true, Descend);
    check(&["/r", "!/r/a", "/r/a/k"], "a/k/x", false, Take);
    check(&["/r", "!/r/a", "/r/a/k"], "a/j", false, Skip);
    check(&["/r", "!/r/a", "/r/a/k"], "a/j", true, Skip);
    check(&["/r", "!/r/**/*.tmp"], "x/y/z.tmp", false, Skip);
    check(&["/r", "!/r/**/*.tmp"], "z.tmp", false, Skip);
    check(&["/r", "!/r/**/*.tmp", "/r/keep.tmp"], "keep.tmp", false, Take);
    check(&["!/r/a", "/r"], "a", false, Take);
    check(&["/r/x", "!/r/**/*.o"], "y/a.o", false, Skip);
    check(&["/r/x", "!/r/**/*.o"], "y/a.c", false, Take);
    check(&["/r/x", "!/q/**"], "y/a.c", false, Take);
    check(&["/r/x", "!/**/*.o"], "y/a.o", false, Skip);
    check(&["/r/x", "!/r"], "y/a.o", false, Skip);
}

#[test]
fn globs_match_as_paths_and_enter_only_what_can_match() {
    use Verdict::{Descend, Skip, Take};
    check(&["/r/*.txt"], "", true, Descend);
    check(&["/r/*.txt"], "a.txt", false, Take);
    check(&["/r/*.txt"], ".a.txt", false, Take);
    check(&["/r/*.txt"], "d", true, Skip);
    check(&["/r/*.txt"], "d/a.txt", false, Skip);
    check(&["/r/*"], "d", true, Take);
    check(&["/r/*"], "d/e/f", false, Take);
    check(&["/r/*/cache/*.bin"], "d", true, Descend);
    check(&["/r/*/cache/*.bin"], "d/cache", true, Descend);
    check(&["/r/*/cache/*.bin"], "d/other", true, Skip);
    check(&["/r/*/cache/*.bin"], "d/cache/e", true, Skip);
    check(&["/r/**/*.bin"], "d/e/f", true, Descend);
    check(&["/r/**/*.bin"], "d/e/f.bin", false, Take);
    check(&["/r/{a/b,c}/x*"], "a/b", true, Descend);
    check(&["/r/{a/b,c}/x*"], "a/b/x1", false, Take);
}

#[test]
fn what_a_caller_leaves_out_stays_out() {
    let selection = Selection::everything("/r").without("stage");
    assert_eq!(selection.verdict(Path::new("stage/x"), false), Verdict::Skip);
    assert_eq!(selection.verdict(Path::new("stages"), false), Verdict::Take);
}

#[test]
fn unusable_rules_are_refused() {
    let refusal = |lines: &[&str]| resolve(&rules(lines)).expect_err("a refusal").to_string();
    assert_eq!(refusal(&[]), "no path is included");
    assert_eq!(refusal(&["!/a"]), "no path is included");
    assert_eq!(refusal(&["/"]), "`/` is the root of a file system, and cannot be a cache");
    assert_eq!(refusal(&["/*"]), "path `/*` has no directory before its first wildcard");
    assert_eq!(refusal(&["/a/*/../b"]), "path `/a/*/../b` has `..` behind a wildcard");
    assert!(refusal(&["/a/[b"]).starts_with("path `/a/[b` is not a glob: "));
}

#[test]
fn what_is_relative_counts_from_the_base_whether_it_includes_or_excludes() {
    check_roots(&["c", "/w/d", "c/../e"], &["/w/c", "/w/d", "/w/e"]);
    check(&["c", "!c/a"], "a/x", false, Verdict::Skip);
    check(&["c", "!c/a"], "ab", false, Verdict::Take);
    check(&["c", "!**/*.tmp"], "x/z.tmp", false, Verdict::Skip);
    // Counted from the root, as before, it would name `/w/c/a`.
    check(&["c", "!a"], "a/x", false, Verdict::Take);
    check(&["/elsewhere", "!**/*.tmp"], "z.tmp", false, Verdict::Take);
}

#[test]
fn a_base_is_a_path_whatever_characters_it_has() {
    for base in ["/job[1]", "/{a,b}", "/a*b?", "/a\\b", "/[!x]"] {
        let resolved = resolve(&rules_in(base, &["c", "!c/**/*.o", "!**/d"])).expect("rules");
        let selection = &resolved.selections[0];
        assert_eq!(selection.root, Path::new(base).join("c"));
        let verdict = |path: &str| selection.verdict(Path::new(path), false);
        assert_eq!(
            (verdict("x/a.o"), verdict("x/d"), verdict("x/a")),
            (Verdict::Skip, Verdict::Skip, Verdict::Take)
        );
    }
}

#[test]
fn a_base_need_not_be_unicode() {
    use std::os::unix::ffi::OsStrExt as _;
    let base = Path::new(std::ffi::OsStr::from_bytes(b"/w\xff"));
    let resolved = resolve(&rules_in(base, &["c", "!**/*.o"])).expect("rules");
    assert_eq!(resolved.selections[0].root, base.join("c"));
    assert_eq!(resolved.selections[0].verdict(Path::new("x/a.o"), false), Verdict::Skip);
}

#[test]
fn a_name_that_exists_is_that_name() {
    let base = tempfile::tempdir().expect("a directory");
    let roots = |pattern: &str| {
        let resolved = resolve(&rules_in(base.path(), &[pattern])).expect("rules");
        resolved.selections[0].root.strip_prefix(base.path()).expect("below").to_owned()
    };
    assert_eq!(roots("app/[slug]/{x}/c"), Path::new("app"));
    std::fs::create_dir_all(base.path().join("app/[slug]/{x}")).expect("directories");
    assert_eq!(roots("app/[slug]/{x}/c"), Path::new("app/[slug]/{x}/c"));
    // A star is a star, whatever it could also name.
    std::fs::create_dir_all(base.path().join("app/*/c")).expect("directories");
    assert_eq!(roots("app/*/c"), Path::new("app"));
}

#[test]
fn exclusions_know_whether_they_excluded_anything() {
    let resolved = resolve(&rules(&["c", "!c/a", "!c/b", "!/elsewhere"])).expect("rules");
    resolved.selections[0].verdict(Path::new("a"), true);
    resolved.selections[0].verdict(Path::new("x"), true);
    let applied: Vec<bool> = resolved.exclusions.iter().map(Exclusion::has_applied).collect();
    assert_eq!(applied, [true, false, false]);
}
