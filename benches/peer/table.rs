//! Figures of both sides, beside one another.

use std::fmt::Write as _;

#[cfg(target_os = "linux")]
pub(crate) use collected::{Figures, Sample};

use crate::options::Options;

/// One line of the table: what was done, and the medians of cachekeep, of the peer and of the pipe.
#[derive(Debug)]
pub(crate) struct Row {
    title: String,
    ours: [f64; FIGURES.len()],
    peer: [f64; FIGURES.len()],
    pipe: [f64; FIGURES.len()],
}

/// The columns: a title, how many of its unit are one, and digits behind the point.
const FIGURES: [(&str, f64, usize); 5] = [
    ("seconds", 1.0, 2),
    ("CPU seconds", 1.0, 2),
    ("memory, MiB", 1_048_576.0, 0),
    ("archive, MB", 1e6, 1),
    ("extra disk, MB", 1e6, 1),
];

/// The table in Markdown: medians as `cachekeep : peer (ratio) : pipe (ratio)`.
pub(crate) fn render(rows: &[Row], options: &Options) -> String {
    let mut text = format!(
        "Medians of {} as `cachekeep : @actions/cache (ratio) : pipe (ratio)`{}; blobs in {}; {} cores.\n\n| |",
        options.repeat,
        if options.quick { ", small trees" } else { "" },
        if options.azurite { "Azurite" } else { "memory" },
        std::thread::available_parallelism().map_or(1, usize::from),
    );
    for (title, ..) in FIGURES {
        let _ = write!(text, " {title} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(FIGURES.len()));
    for row in rows {
        let _ = write!(text, "| {} |", row.title);
        for (index, (_, unit, digits)) in FIGURES.into_iter().enumerate() {
            let ours = row.ours[index] / unit;
            let _ = write!(text, " {ours:.digits$}");
            for theirs in [row.peer[index] / unit, row.pipe[index] / unit] {
                let _ = write!(text, " : {theirs:.digits$}");
                // There is no ratio to zero.
                if theirs > 0.0 {
                    let _ = write!(text, " ({:.2})", ours / theirs);
                }
            }
            text.push_str(" |");
        }
        text.push('\n');
    }
    text
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[length / 2],
        length => f64::midpoint(values[length / 2 - 1], values[length / 2]),
    }
}

#[cfg(target_os = "linux")]
mod collected {
    //! What was measured, until it becomes rows.

    use super::{Row, median};
    use crate::shape::{Grown, Shape};
    use crate::side::Side;
    use crate::watch::Measured;

    /// One run.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Sample {
        /// What it took.
        pub(crate) measured: Measured,
        /// Bytes of the entry.
        pub(crate) archive: u64,
    }

    /// All runs with one tree.
    #[derive(Debug, Default)]
    pub(crate) struct Figures {
        saved: Vec<(Side, Sample)>,
        restored: Vec<(Side, Sample)>,
    }

    impl Figures {
        /// Notes a save.
        pub(crate) fn saved(&mut self, side: Side, sample: Sample) {
            self.saved.push((side, sample));
        }

        /// Notes a restore.
        pub(crate) fn restored(&mut self, side: Side, sample: Sample) {
            self.restored.push((side, sample));
        }

        /// The rows: save, save that reads all back, restore.
        pub(crate) fn rows(&self, shape: Shape, grown: Grown) -> Vec<Row> {
            let row = |verb: &str, samples: &[(Side, Sample)], ours: Side| Row {
                title: verb.to_owned(),
                ours: medians(samples, ours),
                peer: medians(samples, Side::Peer),
                pipe: medians(samples, Side::Pipe),
            };
            let size = format!("{}: {} files, {} MB", shape.title(), grown.files, grown.bytes / 1_000_000);
            vec![
                row(&format!("{size}: **save**"), &self.saved, Side::Cachekeep),
                row("**save** with `verify-save = \"full\"`", &self.saved, Side::ReadBack),
                row("**restore**", &self.restored, Side::Cachekeep),
            ]
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn medians(samples: &[(Side, Sample)], side: Side) -> [f64; 5] {
        let of = |pick: fn(&Sample) -> f64| {
            median(samples.iter().filter(|(who, _)| *who == side).map(|(_, sample)| pick(sample)).collect())
        };
        [
            of(|sample| sample.measured.wall),
            of(|sample| sample.measured.cpu),
            of(|sample| sample.measured.memory),
            of(|sample| sample.archive as f64),
            of(|sample| sample.measured.extra_disk),
        ]
    }
}
