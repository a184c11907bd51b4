//! Proving objects whose CID no known profile gives: by inner blocks that gateways have, or by a whole CAR.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::domain::digest::{Algorithm, CidCodec, ObjectId};
use crate::domain::fault::Fault;
use crate::fs::{read, write};
use crate::objects::layout::ObjectLayout;
use crate::objects::merge::{MergeError, Merger, Take};
use crate::objects::proofs;
use crate::objects::unixfs::proof::prove;
use crate::objects::unixfs::{BlockId, DagError, MAX_BLOCK_BYTES};
use crate::report::failure;
use crate::threads::executor::Executor;
use crate::transport::download::Download;
use crate::transport::http::client::Client;
use crate::transport::http::options::FetchOptions;
use crate::transport::http::retry::{Clock, RetryPolicy};
use crate::transport::mirror::{GatewayForm, Mirror, Refusal};
use crate::transport::source::Source;

/// How many failures in a row disable a gateway.
const FAILURES: u32 = 3;

/// How a file that its bytes alone do not prove came out.
#[derive(Debug)]
enum ProofVerdict {
    /// It is the object, and the proof is kept beside the store.
    Proven,
    /// It is something else.
    Different(String),
    /// No gateway could prove or disprove it.
    Unknown(String),
    /// The proof cannot be kept here.
    Local(String),
}

/// Asks gateways for what ties a file to its CID. Its methods block, and are not for asynchronous code.
pub(super) struct Prover {
    /// Makes the requests.
    pub(super) client: Client,
    /// Whom it asks, and how often each failed in a row.
    pub(super) gateways: Vec<(Mirror, AtomicU32)>,
    /// Drives the requests.
    pub(super) runtime: Executor,
    /// What time it is, for `Retry-After` dates.
    pub(super) clock: Clock,
    /// When everything must be done.
    pub(super) deadline: Instant,
    /// Ends it.
    pub(super) cancel: CancellationToken,
    /// The store beside which proofs are kept.
    pub(super) root: PathBuf,
    /// A directory of this process alone on the store's volume.
    pub(super) temp: PathBuf,
    /// Names files there.
    pub(super) sequence: AtomicU64,
}

/// Those of the mirrors that are gateways.
pub(super) fn gateways(mirrors: &[Mirror]) -> Vec<(Mirror, AtomicU32)> {
    let gateways = mirrors.iter().filter(|mirror| mirror.is_gateway());
    gateways.map(|mirror| (mirror.clone(), AtomicU32::new(0))).collect()
}

impl Prover {
    /// Whether an object in the store that its bytes alone do not prove is proven by the gateways.
    pub(super) fn proves_in_place(&self, layout: &ObjectLayout, object: &ObjectId) -> bool {
        let is_tree = matches!(object.cid(), Some((CidCodec::DagPb, _)));
        let file = self.root.join(layout.path_of(object));
        is_tree && read::is_file(&file) && matches!(self.prove(object, &file), ProofVerdict::Proven)
    }

    /// Verifies a fetched file, by its bytes alone or else by the gateways, and puts it into the store.
    pub(super) fn take(&self, merger: &Merger, object: &ObjectId, file: &Path) -> Result<(), Refusal> {
        let offered = match merger.offer(object, file, Take::Move) {
            Err(MergeError::Unproven { why, .. }) => match self.prove(object, file) {
                ProofVerdict::Proven => merger.offer(object, file, Take::Move),
                ProofVerdict::Different(reason) => return Err(Refusal::WrongContent(reason)),
                ProofVerdict::Unknown(reason) => return Err(Refusal::Unproven(format!("{why}; {reason}"))),
                ProofVerdict::Local(reason) => return Err(Refusal::Local(reason)),
            },
            offered => offered,
        };
        match offered {
            Ok(_) => Ok(()),
            Err(MergeError::Refused { why, .. }) => Err(Refusal::WrongContent(format!("what it sent {why}"))),
            Err(MergeError::Unproven { why, .. }) => Err(Refusal::Unproven(why)),
            Err(error) => Err(Refusal::Local(failure::chain(&error))),
        }
    }

    /// Fetches an object as a CAR and puts it into the store. Its bytes, or why not.
    pub(super) fn take_as_car(
        &self,
        merger: &Merger,
        object: &ObjectId,
        largest: u64,
    ) -> Result<u64, String> {
        let file = self.unpack(object, largest)?;
        let bytes = read::length(&file).unwrap_or(0);
        merger.offer(object, &file, Take::Move).map_err(|error| failure::chain(&error))?;
        Ok(bytes)
    }

    /// Holds a file against the inner blocks of its object's tree, fetched from the gateways.
    fn prove(&self, object: &ObjectId, file: &Path) -> ProofVerdict {
        let Some((CidCodec::DagPb, digest)) = object.cid() else {
            return ProofVerdict::Unknown("it is not named by a tree of blocks".to_owned());
        };
        let mut fetch = |block: BlockId| self.block(block);
        match prove(file, &digest, &mut fetch, &self.cancel) {
            Ok(proof) => match proofs::keep(&self.root, object, &proof, &self.temp) {
                Ok(()) => ProofVerdict::Proven,
                Err(error) => ProofVerdict::Local(failure::chain(&error)),
            },
            Err(error @ (DagError::Differs { .. } | DagError::Length { .. })) => {
                ProofVerdict::Different(failure::chain(&error))
            }
            Err(DagError::Io(error)) => ProofVerdict::Local(error.to_string()),
            Err(error) => ProofVerdict::Unknown(failure::chain(&error)),
        }
    }

    /// Fetches the object as a CAR, every block verified and none missing, into a new file, and keeps its proof.
    /// The error is why no gateway served.
    fn unpack(&self, object: &ObjectId, largest: u64) -> Result<PathBuf, String> {
        let mut reasons = Vec::new();
        for (gateway, failures) in &self.gateways {
            if self.cancel.is_cancelled() {
                return Err("interrupted".to_owned());
            }
            if failures.load(Ordering::Relaxed) >= FAILURES {
                continue;
            }
            match self.unpack_from(gateway, object, largest) {
                Ok(file) => {
                    failures.store(0, Ordering::Relaxed);
                    return Ok(file);
                }
                Err(error) => {
                    failures.fetch_add(1, Ordering::Relaxed);
                    reasons.push(failure::chain(&error));
                }
            }
        }
        Err(if reasons.is_empty() { "no gateway answers".to_owned() } else { reasons.join("; ") })
    }

    fn unpack_from(&self, gateway: &Mirror, object: &ObjectId, largest: u64) -> Result<PathBuf, Fault> {
        let url = gateway.gateway_url(object, GatewayForm::Car).ok_or_else(|| no_url(gateway))?;
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        let (car, file) =
            (self.temp.join(format!("{number}.car")), self.temp.join(format!("{number}.object")));
        let options = self.options(GatewayForm::Car);
        let mut reader = Source::Http(url).open(&self.client, options, &self.runtime)?;
        // Blocks and what frames them are little more than the file itself.
        let mut bounded =
            io::Read::take(&mut reader, largest.saturating_add(largest / 8).saturating_add(1 << 20));
        write::write_file(&car, &mut bounded, &self.cancel)?;
        let proof = proofs::unpack_car(&car, object, &file, largest, &self.cancel)?;
        proofs::keep(&self.root, object, &proof, &self.temp)?;
        write::remove_file(&car)?;
        Ok(file)
    }

    /// One block, its hash checked, from the first gateway that gives it.
    fn block(&self, block: BlockId) -> io::Result<Vec<u8>> {
        let cid = ObjectId::new(Algorithm::Cid, &block.to_string()).map_err(io::Error::other)?;
        let mut reasons = Vec::new();
        for (gateway, failures) in &self.gateways {
            if failures.load(Ordering::Relaxed) >= FAILURES {
                continue;
            }
            match self.block_from(gateway, &cid) {
                Ok(bytes) if block.names(&bytes) => {
                    failures.store(0, Ordering::Relaxed);
                    return Ok(bytes);
                }
                Ok(_) => reasons.push(format!("{gateway} sent other bytes")),
                Err(error) => reasons.push(failure::chain(&error)),
            }
            failures.fetch_add(1, Ordering::Relaxed);
        }
        let reason = if reasons.is_empty() { "no gateway answers".to_owned() } else { reasons.join("; ") };
        Err(io::Error::other(reason))
    }

    fn block_from(&self, gateway: &Mirror, cid: &ObjectId) -> Result<Vec<u8>, Fault> {
        let url = gateway.gateway_url(cid, GatewayForm::Block).ok_or_else(|| no_url(gateway))?;
        if !self.runtime.may_block() {
            let why = "no thread could be started to ask for blocks";
            return Err(Fault::environment(format!("{gateway}: {why}")));
        }
        self.runtime.block_on(async {
            let mut download = Download::start(&self.client, &url, self.options(GatewayForm::Block)).await?;
            let mut bytes = Vec::new();
            while let Some(piece) = download.chunk().await? {
                bytes.extend_from_slice(&piece);
                if bytes.len() > MAX_BLOCK_BYTES {
                    return Err(Fault::environment(format!("{gateway} sent more than a block may have")));
                }
            }
            Ok(bytes)
        })
    }

    fn options(&self, form: GatewayForm) -> FetchOptions {
        FetchOptions {
            retry: RetryPolicy { attempts: 2, ..RetryPolicy::default() },
            deadline: Some(self.deadline),
            clock: self.clock,
            accept: Some(form.media_type()),
            digest_is_checked: true,
            cancel: self.cancel.clone(),
        }
    }
}

fn no_url(gateway: &Mirror) -> Fault {
    Fault::environment(format!("{gateway} has no URL"))
}
