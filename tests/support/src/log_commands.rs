//! What runners and terminals would act on in a log: a parser of its own, stricter than theirs.

/// Everything in a log that a runner or a terminal would act on, as it stands there.
///
/// Lines end where any runner ends them. A line that begins with one of `own` is a command that the program meant; the rest
/// of it is data.
pub fn actions(log: &str, own: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let log = log.split('\n').map(without_section).collect::<Vec<_>>().join("\n");
    for line in log.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']) {
        let is_own = own.iter().any(|start| line.starts_with(start));
        let data = own.iter().find_map(|start| line.strip_prefix(start)).unwrap_or(line);
        let starts = !is_own && line.trim_start().starts_with("::");
        let after = |mark: &str| data.split(mark).skip(1).map(str::to_owned).collect::<Vec<_>>();
        let bracket = after("##")
            .iter()
            .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric()).starts_with('['));
        let section = data.contains("section_start:1") || data.contains("section_end:1");
        let deceives = data.chars().any(|c| {
            c.is_control() || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        if starts || bracket || section || deceives {
            found.push(line.to_owned());
        }
    }
    if log.contains(['\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']) {
        found.push("a line break that only some programs see".to_owned());
    }
    found
}

/// A line of GitLab's log without the section that `cachekeep` itself starts or ends at its beginning.
fn without_section(line: &str) -> &str {
    let is_own = line.starts_with("\u{1b}[0Ksection_") && line.contains(":cachekeep_");
    match line.split_once("\r\u{1b}[0K") {
        Some((_, title)) if is_own => title,
        _ => line,
    }
}
