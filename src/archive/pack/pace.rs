//! The level of compression: as high as the CPU has time for while it waits for the output, and as the data is worth.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// The range of zstd levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// The level if compression is slower than the output.
    pub lowest: i32,
    /// The level of the first frames.
    pub first: i32,
    /// The level if the output is slower, threads are idle, and the data becomes smaller by it.
    pub highest: i32,
}

impl Default for Levels {
    /// From 2 to 6: below, archives grow by 8 to 12 %; above, memory grows by tens of mebibytes for each worker.
    fn default() -> Self {
        Levels { lowest: 2, first: 3, highest: 6 }
    }
}

/// The level in use, shared by all threads.
///
/// The thread that writes knows how long it waited for frames and how long for the output to take them, and how long
/// threads worked on each. Every few frames of one level it moves the level by one step at the most. A step up that saves less
/// than a hundredth is taken back and not tried again.
#[derive(Debug)]
pub(super) struct CompressionPace {
    level: AtomicI32,
    levels: Levels,
    workers: u32,
}

/// One frame, compressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameWork {
    /// The level at which it was compressed.
    pub(super) level: i32,
    /// Its bytes before and after.
    pub(super) bytes: (usize, usize),
    /// How long a thread read and compressed it.
    pub(super) busy: Duration,
}

/// What the writing thread has measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    window: Window,
    /// The level below, and the share of the data that was left at that level, while a step up is on trial.
    trial: Option<(i32, f64)>,
    /// The level above which nothing was gained.
    ceiling: Option<i32>,
}

/// Frames of one level since its last change.
#[derive(Debug, Default)]
struct Window {
    frames: u32,
    for_frames: Duration,
    for_output: Duration,
    busy: Duration,
    bytes: (u64, u64),
}

impl Window {
    /// Whether threads had nothing to do for at least half of the time.
    fn is_half_idle(&self, workers: u32) -> bool {
        self.busy * 2 < (self.for_frames + self.for_output) * workers
    }

    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn share_left(&self) -> f64 {
        self.bytes.1 as f64 / self.bytes.0.max(1) as f64
    }
}

/// Frames between two changes of the level.
const FRAMES_PER_STEP: u32 = 8;

/// What a step up must leave of what the level below it left.
const WORTH_IT: f64 = 0.99;

impl CompressionPace {
    pub(super) fn new(levels: Levels, workers: usize) -> Self {
        let workers = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        CompressionPace { level: AtomicI32::new(levels.first), levels, workers }
    }

    pub(super) fn level(&self) -> i32 {
        self.level.load(Ordering::Relaxed)
    }

    /// Adds a frame and how long the writing thread waited, and moves the level. Frames of an earlier level, and those that do not
    /// compress, say nothing about this one.
    pub(super) fn note(
        &self,
        measured: &mut Measured,
        work: &FrameWork,
        for_frame: Duration,
        for_output: Duration,
    ) {
        let level = self.level();
        if work.level != level {
            return;
        }
        let window = &mut measured.window;
        window.frames += 1;
        window.for_frames += for_frame;
        window.for_output += for_output;
        window.busy += work.busy;
        window.bytes.0 += work.bytes.0 as u64;
        window.bytes.1 += work.bytes.1 as u64;
        if window.frames >= FRAMES_PER_STEP {
            let next = self.next(level, measured);
            self.level.store(next, Ordering::Relaxed);
            measured.window = Window::default();
        }
    }

    fn next(&self, level: i32, measured: &mut Measured) -> i32 {
        let window = &measured.window;
        if let Some((below, share)) = measured.trial.take()
            && window.share_left() > share * WORTH_IT
        {
            measured.ceiling = Some(below);
            return below;
        }
        let highest = measured.ceiling.unwrap_or(self.levels.highest).min(self.levels.highest);
        if window.for_frames > window.for_output * 4 {
            return (level - 1).max(self.levels.lowest);
        }
        let waits = window.for_output > window.for_frames * 4;
        if !waits || !window.is_half_idle(self.workers) || level >= highest {
            return level;
        }
        measured.trial = Some((level, window.share_left()));
        level + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of 1 000 bytes, of which `left` are left at each level.
    struct Packing {
        pace: CompressionPace,
        measured: Measured,
        left: fn(i32) -> usize,
    }

    impl Packing {
        fn new(left: fn(i32) -> usize) -> Self {
            let levels = Levels { lowest: 2, first: 3, highest: 6 };
            Packing { pace: CompressionPace::new(levels, 2), measured: Measured::default(), left }
        }

        /// The level after this many frames with these times, in milliseconds.
        fn after(&mut self, frames: u32, busy: u64, for_frame: u64, for_output: u64) -> i32 {
            let time = Duration::from_millis;
            for _ in 0..frames {
                let level = self.pace.level();
                let bytes = (1_000, (self.left)(level));
                let work = FrameWork { level, bytes, busy: time(busy) };
                self.pace.note(&mut self.measured, &work, time(for_frame), time(for_output));
            }
            self.pace.level()
        }
    }

    #[test]
    fn the_level_follows_the_slower_side() {
        let mut packing = Packing::new(|level| 1_000 - 100 * usize::try_from(level).expect("positive"));
        assert_eq!(packing.after(7, 10, 1, 100), 3);
        assert_eq!(packing.after(1, 10, 1, 100), 4);
        assert_eq!(packing.after(80, 10, 1, 100), 6);
        assert_eq!(packing.after(80, 10, 10, 10), 6);
        assert_eq!(packing.after(8, 100, 100, 1), 5);
        assert_eq!(packing.after(80, 100, 100, 1), 2);
    }

    #[test]
    fn the_level_rises_only_where_threads_are_idle() {
        let mut packing = Packing::new(|level| 1_000 - 100 * usize::try_from(level).expect("positive"));
        // Two threads have 200 ms for each frame.
        assert_eq!(packing.after(80, 110, 1, 99), 3);
        assert_eq!(packing.after(8, 90, 1, 99), 4);
    }

    #[test]
    fn a_step_that_saves_nothing_is_taken_back_for_good() {
        let mut packing = Packing::new(|level| if level < 4 { 500 } else { 499 });
        assert_eq!(packing.after(8, 10, 1, 100), 4);
        assert_eq!(packing.after(8, 10, 1, 100), 3);
        assert_eq!(packing.after(80, 10, 1, 100), 3);
        assert_eq!(packing.after(80, 100, 100, 1), 2);
    }

    #[test]
    fn frames_of_other_levels_say_nothing() {
        let mut packing = Packing::new(|_| 500);
        for level in [-7, 4].repeat(40) {
            let work = FrameWork { level, bytes: (1_000, 900), busy: Duration::from_millis(1) };
            packing.pace.note(&mut packing.measured, &work, Duration::ZERO, Duration::from_secs(1));
        }
        assert_eq!(packing.pace.level(), 3);
        assert_eq!(packing.measured.window.frames, 0);
    }
}
