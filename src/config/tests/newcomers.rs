//! What people write who come from a workflow, from a script or from YAML: each has its cure.

use super::*;

#[test]
fn what_is_not_toml() {
    let texts = [
        "[cache.c]\nkey = build-{os}\n",
        "[cache.c]\npath = ~/.npm\n",
        "[cache.c]\npath: build\n",
        "[cache.c]\npath: \"build\"\n",
        "[cache.c]\npath = \"C:\\Users\\me\"\n",
        "[cache.c]\npath = 'a'\nkey = \"a\n",
    ];
    insta::assert_snapshot!(found(&texts), @r#"
2:13 error: unexpected key or value, expected newline, `#` | put text in quotes: `key = "build-{os}"`
2:8 error: string values must be quoted, expected literal string | put text in quotes: `path = "~/.npm"`
2:7 error: key with no value, expected `=` | this is TOML: write `path = "build"`
2:7 error: key with no value, expected `=` | this is TOML: write `path = "build"`
2:13 error: too few unicode value digits, expected unicode hexadecimal value | use single quotes, in which `\` has no meaning: `'C:\Users\me'`
3:9 error: invalid basic string, expected `"` | (none)
"#);
}

#[test]
fn expressions_of_other_systems() {
    let cases = [
        "key = '$(Agent.OS)-npm-$(hash)'",
        "key = '$CI_COMMIT_REF_SLUG-npm'",
        "key = 'npm-${IMAGE}'",
        "key = 'npm-${os}'",
        "key = '${{ hashFiles(\"**/x\") }}'",
        "key = '{runner.os}-npm'",
        "key = '{hashFiles(x)}'",
        "key = 'k'\nrestore-keys = ['build-{os}-*']",
        "path = '$HOME/.npm'",
        "path = '%LOCALAPPDATA%\\npm'",
        "path = \"C:\\temp\"",
        "export = { A = '$HOME/a', B = '$ORIGIN/b' }",
    ];
    insta::assert_snapshot!(found_in_cache(&cases), @r#"
3:8 error: `$(Agent.OS)` is a variable of Azure Pipelines or a command of a shell, which is not expanded here | write `{os}`
3:8 error: `$CI_COMMIT_REF_SLUG` is a variable of a shell, which is not expanded here | write `{ref}`
3:12 error: `${IMAGE}` is a variable of a shell, which is not expanded here | write `{env.IMAGE}`
3:12 error: `${os}` is a variable of a shell, which is not expanded here | write `{os}`
3:8 error: `${{ hashFiles("**/x") }}` is a GitHub Actions expression, which is not expanded here | write `{files:GLOBS}`, or `{hash-files:GLOBS}` for the digest that GitHub computes
3:8 error: `{runner.os}` is not a placeholder | did you mean `{os}`?
3:8 error: `{hashFiles(x)}` is not a placeholder | write globs after a colon, such as `{hash-files:**/*.lock}`
4:17 warning: the restore key `build-{os}-*` ends in `*`, which is an ordinary character here | write `build-{os}-`: a restore key is a prefix already
3:9 error: `$HOME` is a variable of a shell, which is not expanded here | write `{home}`
3:9 error: `%LOCALAPPDATA%` is a variable of Windows, which is not expanded here | write `{env.LOCALAPPDATA}`
3:8 error: `C:\temp` has a control character | in double quotes `\t` is a tab: write paths with `\` in single quotes
4:17 error: `$HOME` is a variable of a shell, which is not expanded here | write `{home}`
"#);
}

#[test]
fn numbers_without_units() {
    let texts = [
        "[clean]\nunused-for = '14'",
        "[clean]\nbudget = '5'",
        "[clean]\nbudget = '5000000000'",
        "[clean]\nsuperseded = 2",
        "[disk]\nreserve = '5'",
        "[disk]\nreserve = '0'",
    ];
    insta::assert_snapshot!(found(&texts), @r#"
2:14 error: `14` has no unit: write `14d` (one of s, m, h, d, w) | (none)
2:10 warning: `5` has no unit, so it means 5 B | write a unit, such as `"5GB"`
fine: [clean]
budget = '5000000000'
2:14 error: `clean.superseded` must be a table, not a whole number | write `superseded = { keep = 2 }`
2:11 warning: `5` has no unit, so it means 5 B | write a unit, such as `"5%"`
fine: [disk]
reserve = '0'
"#);
}
