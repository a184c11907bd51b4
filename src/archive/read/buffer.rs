//! A bounded number of buffers, each returned to the pool when its last user drops it.

use std::ops::{Deref, Range};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Buffers of more memory than this, in bytes, may be asked not to keep it: a block of a frame needs less.
const SMALL: usize = 1 << 20;

/// A bounded number of buffers.
#[derive(Debug)]
pub(crate) struct Buffers {
    free: Mutex<FreeBuffers>,
    returned: Condvar,
}

#[derive(Debug)]
struct FreeBuffers {
    buffers: Vec<Buffer>,
    /// How many more may be allocated.
    unallocated: usize,
    /// Whether large buffers that come back keep their memory.
    keeps_large: bool,
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
        let free = FreeBuffers { buffers: Vec::new(), unallocated: count, keeps_large: true };
        Arc::new(Buffers { free: Mutex::new(free), returned: Condvar::new() })
    }

    /// Whether large buffers that come back keep their memory. While a large window is decompressed they do not: what
    /// frames before it needed would be held beside it.
    pub(crate) fn keep_large(&self, keep: bool) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.keeps_large = keep;
        if !keep {
            free.buffers.iter_mut().for_each(Buffer::shrink);
        }
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

impl Buffer {
    /// Frees the memory of an empty buffer if it is large.
    fn shrink(&mut self) {
        if self.compressed.capacity() + self.data.capacity() > SMALL {
            *self = Buffer::default();
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
        let mut free = self.home.free.lock().unwrap_or_else(PoisonError::into_inner);
        if !free.keeps_large {
            buffer.shrink();
        }
        free.buffers.push(buffer);
        drop(free);
        self.home.returned.notify_one();
    }
}

impl Slice {
    /// Whether both are parts of one chunk, so that keeping one keeps no more memory than keeping the other.
    pub(crate) fn shares_chunk_with(&self, other: &Slice) -> bool {
        Arc::ptr_eq(&self.chunk, &other.chunk)
    }

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

    #[test]
    fn large_buffers_come_home_without_memory_where_they_must_not_keep_it() {
        let buffers = Buffers::new(2);
        let before = |needed: usize| {
            let mut chunk = buffers.take();
            let capacity = chunk.buffer().data.capacity();
            chunk.buffer().data.reserve(needed);
            capacity
        };
        assert_eq!(before(2 * SMALL), 0);
        assert!(before(0) >= 2 * SMALL);
        let abroad = buffers.take();
        buffers.keep_large(false);
        drop(abroad);
        assert_eq!((before(SMALL / 2), before(2 * SMALL)), (0, SMALL / 2));
        assert_eq!(before(0), 0);
        buffers.keep_large(true);
        assert_eq!(before(2 * SMALL), 0);
        assert!(before(0) >= 2 * SMALL);
    }
}
