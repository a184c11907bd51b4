//! Logging commands: `##vso[area.event name=value;…]data` (`Command`, `CommandStringConvertor`).

/// What a line of a step is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Text,
    /// It looks like a command, but cannot be read as one.
    Broken,
    Command(Command),
}

/// A command of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub area: String,
    pub event: String,
    properties: Vec<(String, String)>,
    pub data: String,
}

impl Command {
    /// `Command.TryParse`: the command may begin anywhere in the line, and what stands before it is dropped.
    pub(super) fn read(line: &str) -> Reading {
        match Command::parse(line) {
            Some(command) => Reading::Command(command),
            None if line.contains("##vso") => Reading::Broken,
            None => Reading::Text,
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("##vso[")?;
        let (info, data) = rest.split_once(']')?;
        let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
        let parts: Vec<&str> = name.split('.').filter(|part| !part.is_empty()).collect();
        let [area, event] = parts.as_slice() else { return None };
        let properties = properties.split(';').filter_map(|property| {
            let (name, value) = property.split_once('=')?;
            (!name.is_empty() && !value.is_empty()).then(|| (name.to_owned(), unescape(value)))
        });
        Some(Command {
            area: area.to_lowercase(),
            event: event.to_lowercase(),
            properties: properties.collect(),
            data: unescape(data),
        })
    }

    /// The last value of a property; its name is compared without regard to case, and with its spaces.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        let found = self.properties.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.property(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// `CommandStringConvertor.Unescape`: the same for properties and data; percent signs last (`DECODE_PERCENTS`).
fn unescape(text: &str) -> String {
    text.replace("%3B", ";")
        .replace("%0D", "\r")
        .replace("%0A", "\n")
        .replace("%5D", "]")
        .replace("%AZP25", "%")
}
