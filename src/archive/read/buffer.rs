//! A bounded number of buffers, each returned to the pool when its last user drops it.

use std::ops::{Deref, Range};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A bounded number of buffers.
#[derive(Debug)]
pub(crate) struct Buffers {
    free: Mutex<Free>,
    returned: Condvar,
}

#[derive(Debug)]
struct Free {
    buffers: Vec<Buffer>,
    /// How many more may be allocated.
    unallocated: usize,
}

/// Memory for one frame.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// The frame as stored in the archive.
    pub(crate) compressed: Vec<u8>,
    /// The decompressed content.
    pub(crate) data: Vec<u8>,
}

/// A buffer that returns to its pool when dropped.
#[derive(Debug)]
pub(crate) struct Chunk {
    buffer: Buffer,
    home: Arc<Buffers>,
}

/// A part of a chunk, shared without copying.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    chunk: Arc<Chunk>,
    range: Range<usize>,
}

impl Buffers {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let free = Free { buffers: Vec::new(), unallocated: count };
        Arc::new(Buffers { free: Mutex::new(free), returned: Condvar::new() })
    }

    /// Takes an empty buffer; waits while all are in use.
    pub(crate) fn take(self: &Arc<Self>) -> Chunk {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(buffer) = free.buffers.pop() {
                return Chunk { buffer, home: Arc::clone(self) };
            }
            if free.unallocated > 0 {
                free.unallocated -= 1;
                return Chunk { buffer: Buffer::default(), home: Arc::clone(self) };
            }
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Chunk {
    pub(crate) fn buffer(&mut self) -> &mut Buffer {
        &mut self.buffer
    }

    pub(crate) fn into_slice(self) -> Slice {
        let range = 0..self.buffer.data.len();
        Slice { chunk: Arc::new(self), range }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.compressed.clear();
        buffer.data.clear();
        self.home.free.lock().unwrap_or_else(PoisonError::into_inner).buffers.push(buffer);
        self.home.returned.notify_one();
    }
}

impl Slice {
    /// Cuts off the first bytes.
    pub(crate) fn split_to(&mut self, length: usize) -> Slice {
        let middle = self.range.start + length;
        let first = Slice { chunk: Arc::clone(&self.chunk), range: self.range.start..middle };
        self.range.start = middle;
        first
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.chunk.buffer.data[self.range.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_home_when_the_last_slice_is_gone() {
        let buffers = Buffers::new(1);
        let mut chunk = buffers.take();
        chunk.buffer().data.extend(b"abcdef");
        let mut rest = chunk.into_slice();
        let first = rest.split_to(2);
        assert_eq!((&*first, &*rest), (&b"ab"[..], &b"cdef"[..]));
        let waiting = std::thread::spawn({
            let buffers = Arc::clone(&buffers);
            move || buffers.take().buffer().data.len()
        });
        drop(first);
        drop(rest);
        assert_eq!(waiting.join().expect("a buffer"), 0);
    }
}
