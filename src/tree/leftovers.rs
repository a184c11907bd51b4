//! Leftovers of downloaders, editors and copying tools that were killed, beside objects. They are never archived.

/// Extensions of unfinished downloads.
const UNFINISHED: &[&str] = &["part", "partial", "download", "crdownload", "tmp", "temp"];

/// Lower bound for the random characters that CMake and others put right behind `.tmp`; shorter words may be extensions.
const LEAST_TOKEN: usize = 4;

/// Whether a file's name is that of a leftover: `*.part`, `*.partial`, `*.download`, `*.crdownload`, `*.tmp`,
/// `*.temp`, `*.tmpTOKEN` (CMake), `*~`, and `.nfs*` (a file that was removed while in use, over NFS).
pub(crate) fn is_leftover(name: &str) -> bool {
    if name.ends_with('~') || name.starts_with(".nfs") {
        return true;
    }
    let Some((_, extension)) = name.rsplit_once('.') else { return false };
    let is_token = |token: &str| {
        token.len() >= LEAST_TOKEN && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    UNFINISHED.contains(&extension) || extension.strip_prefix("tmp").is_some_and(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_files_are_told_from_finished_ones() {
        for name in
            ["a.part", "a.mha.partial", "x.tmp", "d41d8.tmp1a2B3c4D", "notes~", ".nfs0000123", "a.download"]
        {
            assert!(is_leftover(name), "{name}");
        }
        for name in ["a", "tmp", "part", "a.tmpl", "a.parts", "a.tmp.gz", "temp", "~a", ".cachekeep-sentinel"]
        {
            assert!(!is_leftover(name), "{name}");
        }
    }
}
