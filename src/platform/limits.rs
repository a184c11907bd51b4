//! Limits of the process.

/// The most address space that this process may have, in bytes; `None` without a limit.
#[cfg(target_os = "linux")]
pub(crate) fn address_space() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};

    let limits = [Resource::As, Resource::Data].map(|resource| getrlimit(resource).current);
    limits.into_iter().flatten().min()
}

/// Where a limit is not enforced, or there is none.
#[cfg(not(target_os = "linux"))]
pub(crate) fn address_space() -> Option<u64> {
    None
}
