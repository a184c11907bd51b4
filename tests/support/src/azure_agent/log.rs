//! The log of a job, with secrets masked (`SecretMasker`).

use super::commands::Reading;

/// What a job prints, line by line.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: Vec<String>,
    secrets: Vec<String>,
}

impl Log {
    /// Hides a text from now on. A secret of several lines is not found in a log of lines, as in the agent.
    pub(super) fn hide(&mut self, secret: &str) {
        if !secret.is_empty() && !self.secrets.iter().any(|known| known == secret) {
            self.secrets.push(secret.to_owned());
            // The longest first, or a part of it would stay visible.
            self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    pub(super) fn masked(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }

    pub(super) fn write(&mut self, text: impl AsRef<str>) {
        let masked = self.masked(text.as_ref());
        self.lines.extend(masked.split('\n').map(str::to_owned));
    }

    /// Where the log ends now.
    pub(super) fn mark(&self) -> usize {
        self.lines.len()
    }

    /// What was written since a mark.
    pub(super) fn since(&self, mark: usize) -> String {
        self.lines[mark..].join("\n")
    }
}

/// A line of a step that is not a command, even if it looks like one (`WorkerCommandManager.TryProcessCommand`).
pub(super) fn write_line(log: &mut Log, line: &str, reading: &Reading) {
    if matches!(reading, Reading::Broken) {
        log.write(format!(
            "##[warning]'{line}' contains logging command keyword '##vso', but it's not a legal command."
        ));
    }
    log.write(line);
}
