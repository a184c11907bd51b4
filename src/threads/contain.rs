//! Panics as errors. A panic is a mistake in this program; it must not become a hang, and never stops a build.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::io;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::domain::hint::Hint;

thread_local! {
    /// The last panic of this thread, with its place, which a payload does not hold.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic that was caught.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("internal error: {0}")]
pub(crate) struct Panicked(String);

impl Hint for Panicked {
    fn hint(&self) -> Option<String> {
        Some(
            concat!("this is a mistake in cachekeep: report it at ", env!("CARGO_PKG_REPOSITORY"), "/issues")
                .to_owned(),
        )
    }
}

impl From<Panicked> for io::Error {
    fn from(panicked: Panicked) -> Self {
        io::Error::other(panicked)
    }
}

/// Does the work; a panic in it is an error. What the work was changing is not used afterwards.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let noted = LAST.with(RefCell::take);
        Panicked(noted.unwrap_or_else(|| message(payload.as_ref()).to_owned()))
    })
}

/// Leaves the report of panics to [`contain`]: the process prints none by itself, unless backtraces are asked for.
pub(crate) fn silence() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        LAST.with(|last| last.replace(Some(described(info))));
        if Backtrace::capture().status() == BacktraceStatus::Captured {
            print(info);
        }
    }));
}

fn described(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    format!("{}{}", message(info.payload()), place.unwrap_or_default())
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        assert_eq!(contain(|| 5), Ok(5));
        let text = |result: Result<(), Panicked>| result.expect_err("it panics").to_string();
        assert_eq!(text(contain(|| panic!("no such thing"))), "internal error: no such thing");
        assert_eq!(text(contain(|| panic!("{} things", 2))), "internal error: 2 things");
        assert_eq!(text(contain(|| panic::panic_any(7))), "internal error: no message");
    }
}
