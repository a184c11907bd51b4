//! The checksum that goes with a block of an Azure blob, and whether the service shows that it compares it.
//!
//! Azure takes CRC-64/NVME or MD5, computes it of what arrives, and repeats it in its answer (learn.microsoft.com,
//! `rest/api/storageservices/put-block`). CRC-64 takes a tenth of the time. A service that does not know it refuses the header, as
//! Azurite does in its strict mode, or ignores it: then blocks are sent with MD5.

use std::sync::atomic::{AtomicU8, Ordering};

use crc_fast::{CrcAlgorithm, checksum};
use data_encoding::BASE64;
use md5::{Digest as _, Md5};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use crate::domain::event::Details;

/// Codes for a header that the service does not take; the second is Azurite's.
pub(crate) const UNSUPPORTED: [&str; 2] = ["UnsupportedHeader", "FeatureNotSupported"];

const CRC64: &str = "x-ms-content-crc64";
const MD5: &str = "content-md5";

/// What is known of a service: that nothing speaks against CRC-64, that it takes only MD5, and that its answers do not even
/// show that. It only grows.
const TAKES_CRC64: u8 = 0;
const TAKES_MD5: u8 = 1;
const SHOWS_NOTHING: u8 = 2;

/// The checksums of the blocks of one service; shared by its uploads.
#[derive(Debug, Default)]
pub(crate) struct BlockChecks(AtomicU8);

/// The checksum of one block.
#[derive(Debug)]
pub(crate) struct BlockCheck {
    name: &'static str,
    value: String,
    /// Whether an answer without it shows that it was ignored.
    is_repeated: bool,
}

impl BlockCheck {
    /// The header to send with it.
    pub(crate) fn header(&self) -> (&'static str, &str) {
        (self.name, &self.value)
    }
}

/// The checksum of a list of blocks, of which an answer need not speak.
pub(crate) fn check_of_list(list: &[u8]) -> BlockCheck {
    BlockCheck { is_repeated: false, ..md5_of(list) }
}

fn md5_of(body: &[u8]) -> BlockCheck {
    BlockCheck { name: MD5, value: BASE64.encode(&Md5::digest(body)), is_repeated: true }
}

/// The outcome of sending a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was stored.
    Taken,
    /// The service does not know the checksum: the block is to be sent again with another.
    OtherCheck,
    /// Other bytes arrived: the block is to be sent again.
    Damaged,
    /// The answer is about something else.
    Other,
}

impl BlockChecks {
    /// The checksum of a block.
    pub(crate) fn of(&self, block: &[u8]) -> BlockCheck {
        if self.0.load(Ordering::Relaxed) > TAKES_CRC64 {
            return md5_of(block);
        }
        let crc = checksum(CrcAlgorithm::Crc64Nvme, block);
        // The least significant byte first, as the service's own SDKs have it.
        BlockCheck { name: CRC64, value: BASE64.encode(&crc.to_le_bytes()), is_repeated: true }
    }

    /// What the answer to a block says.
    pub(crate) fn judge(
        &self,
        sent: &BlockCheck,
        status: StatusCode,
        headers: &HeaderMap,
        details: &Details,
    ) -> Verdict {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if status != StatusCode::CREATED {
            return match text("x-ms-error-code") {
                Some("Md5Mismatch" | "Crc64Mismatch") => Verdict::Damaged,
                Some(code) if sent.name == CRC64 && UNSUPPORTED.contains(&code) => {
                    self.without_crc64(details)
                }
                _ => Verdict::Other,
            };
        }
        match text(sent.name) {
            Some(arrived) if arrived == sent.value => Verdict::Taken,
            Some(_) => Verdict::Damaged,
            None if !sent.is_repeated => Verdict::Taken,
            None if sent.name == CRC64 => self.without_crc64(details),
            None => {
                if self.0.fetch_max(SHOWS_NOTHING, Ordering::Relaxed) < SHOWS_NOTHING {
                    details.tell(format_args!(
                        "the answers of the storage do not show that it checks what arrives"
                    ));
                }
                Verdict::Taken
            }
        }
    }

    fn without_crc64(&self, details: &Details) -> Verdict {
        if self.0.fetch_max(TAKES_MD5, Ordering::Relaxed) < TAKES_MD5 {
            details.tell(format_args!("the storage does not check CRC-64: blocks are sent with MD5"));
        }
        Verdict::OtherCheck
    }

    /// Whether every block so far was compared with its checksum, as the answers show.
    pub(crate) fn are_shown(&self) -> bool {
        self.0.load(Ordering::Relaxed) < SHOWS_NOTHING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(
        checks: &BlockChecks,
        sent: &BlockCheck,
        status: u16,
        headers: &[(&'static str, &str)],
    ) -> Verdict {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        checks.judge(sent, status, &map, &Details::none())
    }

    /// The check value of CRC-64/NVME in the catalogue of parametrised CRC algorithms is `ae8b14860a799888`.
    #[test]
    fn the_checksum_has_its_least_significant_byte_first() {
        let check = BlockChecks::default().of(b"123456789");
        assert_eq!(check.header(), ("x-ms-content-crc64", "iJh5CoYUi64="));
        assert_eq!(BASE64.encode(&0xAE8B_1486_0A79_9888_u64.to_le_bytes()), check.value);
    }

    #[test]
    fn what_is_not_repeated_was_not_checked() {
        let checks = BlockChecks::default();
        let crc = checks.of(b"block");
        assert_eq!(judged(&checks, &crc, 201, &[(CRC64, &crc.value)]), Verdict::Taken);
        assert_eq!(judged(&checks, &crc, 201, &[(CRC64, "AAAAAAAAAAA=")]), Verdict::Damaged);
        assert_eq!(checks.of(b"block").name, CRC64);
        // Ignored.
        assert_eq!(judged(&checks, &crc, 201, &[]), Verdict::OtherCheck);
        let md5 = checks.of(b"block");
        assert_eq!(md5.name, MD5);
        assert_eq!(judged(&checks, &md5, 201, &[(MD5, &md5.value)]), Verdict::Taken);
        assert!(checks.are_shown());
        // A block that was on its way.
        assert_eq!(
            judged(&checks, &crc, 500, &[("x-ms-error-code", "FeatureNotSupported")]),
            Verdict::OtherCheck
        );
        assert!(checks.are_shown());
        assert_eq!(judged(&checks, &md5, 201, &[]), Verdict::Taken);
        assert!(!checks.are_shown());
    }

    #[test]
    fn refusals_of_what_arrived_and_of_the_header_differ() {
        for code in ["Crc64Mismatch", "Md5Mismatch"] {
            let checks = BlockChecks::default();
            let crc = checks.of(b"block");
            assert_eq!(judged(&checks, &crc, 400, &[("x-ms-error-code", code)]), Verdict::Damaged);
            assert_eq!(judged(&checks, &crc, 403, &[]), Verdict::Other);
            assert_eq!(checks.of(b"block").name, CRC64);
        }
        let checks = BlockChecks::default();
        let crc = checks.of(b"block");
        assert_eq!(
            judged(&checks, &crc, 400, &[("x-ms-error-code", "UnsupportedHeader")]),
            Verdict::OtherCheck
        );
        assert_eq!(checks.of(b"block").name, MD5);
    }
}
