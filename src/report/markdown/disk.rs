//! Volumes in summaries, each with a bar.

use std::fmt::Write as _;

use super::code;
use crate::domain::unit::ByteSize;
use crate::report::json::disk::VolumeDocument;

/// Cells of a bar.
const CELLS: u64 = 20;

/// The summary of `disk`.
pub(crate) fn markdown(volumes: &[VolumeDocument]) -> String {
    let mut text =
        "### cachekeep disk\n\n| Disk | Used | Size | Free | Reserved | Inodes free |\n".to_owned();
    text.push_str("|---|---|--:|--:|--:|--:|\n");
    for volume in volumes {
        let _ = writeln!(
            text,
            "| {} | {} {:.0} % | {} | {} | {} | {} |",
            code(&volume.path),
            bar(volume.total_bytes.saturating_sub(volume.free_bytes), volume.total_bytes),
            volume.used_percent(),
            ByteSize(volume.total_bytes),
            ByteSize(volume.free_bytes),
            ByteSize(volume.reserve_bytes),
            volume.free_inodes.map(|free| free.to_string()).unwrap_or_default(),
        );
    }
    text
}

/// A part of a whole as a bar.
pub(super) fn bar(part: u64, whole: u64) -> String {
    let filled = u128::from(part.min(whole)) * u128::from(CELLS) / u128::from(whole.max(1));
    let filled = usize::try_from(filled).unwrap_or(0);
    let cells = usize::try_from(CELLS).unwrap_or(0);
    format!("{}{}", "█".repeat(filled), "░".repeat(cells - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_part() {
        assert_eq!(bar(0, 0), "░".repeat(20));
        assert_eq!(bar(50, 100), format!("{}{}", "█".repeat(10), "░".repeat(10)));
        assert_eq!(bar(200, 100), "█".repeat(20));
        assert_eq!(bar(u64::MAX, u64::MAX), "█".repeat(20));
    }
}
