//! "Did you mean …": the known name that is closest to an unknown one.

/// The closest of `known`, if its edit distance is small enough for a typo.
pub(crate) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = name.to_lowercase().replace('_', "-");
    let limit = (plain.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&plain, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Names in backticks, for a hint.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_recognized_and_other_words_are_not() {
        let known = ["path", "paths", "key", "restore-keys", "role", "save"];
        let check = |name, expected: Option<&str>| assert_eq!(closest(name, known), expected, "{name}");
        check("restore_keys", Some("restore-keys"));
        check("restoreKeys", Some("restore-keys"));
        check("kye", Some("key"));
        check("pathes", Some("paths"));
        check("Role", Some("role"));
        check("free", None);
        check("x", None);
    }
}
