//! What waits for one socket to take it.

use bytes::Bytes;

use crate::pool::{List, Pool};

/// What holds a frame in memory, besides its bytes. Operators are told this number ([`crate::Config::send_queue`]).
const PER_CHUNK: usize = 64;

const _: () = assert!(Pool::<Chunk>::NODE <= PER_CHUNK);

/// Chunks that wait for the socket. They stand in a pool, which every method is given.
#[derive(Debug)]
pub(crate) struct SendQueue {
    list: List,
    /// Bytes not written yet.
    bytes: usize,
    /// How many chunks they are in.
    count: u32,
    /// So much of the first chunk is written.
    offset: usize,
}

/// A frame (head and payload) or a piece of HTTP (payload only).
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) head: [u8; 10],
    pub(crate) head_len: u8,
    pub(crate) payload: Bytes,
}

impl Chunk {
    pub(crate) fn plain(payload: Bytes) -> Self {
        Chunk { head: [0; 10], head_len: 0, payload }
    }

    /// Whether this frame is a text message: its opcode says so.
    pub(crate) fn is_text(&self) -> bool {
        self.head[0] & 0x0f == 1
    }

    fn len(&self) -> usize {
        usize::from(self.head_len) + self.payload.len()
    }
}

impl SendQueue {
    pub(crate) const fn new() -> Self {
        SendQueue { list: List::new(), bytes: 0, count: 0, offset: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Bytes not written yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What counts against `--send-queue`: what it takes up. A chunk does until all of it is written.
    pub(crate) fn cost(&self) -> usize {
        self.bytes + self.offset + self.count as usize * PER_CHUNK
    }

    /// Whether a message of so many bytes may be added; one always may.
    pub(crate) fn takes(&self, payload: usize, limit: usize) -> bool {
        self.is_empty() || self.cost() + PER_CHUNK + payload <= limit
    }

    pub(crate) fn push_back(&mut self, pool: &mut Pool<Chunk>, chunk: Chunk) {
        self.bytes += chunk.len();
        self.count += 1;
        pool.push_back(&mut self.list, chunk);
    }

    /// Only while nothing is written.
    pub(crate) fn push_front(&mut self, pool: &mut Pool<Chunk>, chunk: Chunk) {
        debug_assert!(self.offset == 0, "half of a chunk is written");
        self.bytes += chunk.len();
        self.count += 1;
        pool.push_front(&mut self.list, chunk);
    }

    /// The socket took so many bytes, or fewer if there are not so many.
    pub(crate) fn written(&mut self, pool: &mut Pool<Chunk>, count: usize) {
        let count = count.min(self.bytes);
        self.bytes -= count;
        self.offset += count;
        while let Some(first) = pool.front(&self.list).map(Chunk::len).filter(|len| *len <= self.offset) {
            self.offset -= first;
            self.count -= 1;
            pool.pop_front(&mut self.list);
        }
    }

    pub(crate) fn clear(&mut self, pool: &mut Pool<Chunk>) {
        pool.clear(&mut self.list);
        *self = SendQueue::new();
    }

    /// What is not wholly written, in order.
    pub(crate) fn iter<'a>(&self, pool: &'a Pool<Chunk>) -> impl Iterator<Item = &'a Chunk> + use<'a> {
        pool.iter(&self.list)
    }

    /// Copies what is to be written next, until `buffer` holds `limit` bytes.
    pub(crate) fn copy(&self, pool: &Pool<Chunk>, buffer: &mut Vec<u8>, limit: usize) {
        let mut skip = self.offset;
        for chunk in pool.iter(&self.list) {
            for part in [&chunk.head[..usize::from(chunk.head_len)], &chunk.payload] {
                let skipped = skip.min(part.len());
                skip -= skipped;
                let room = limit - buffer.len();
                let part = &part[skipped..];
                buffer.extend_from_slice(&part[..part.len().min(room)]);
            }
            if buffer.len() == limit {
                return;
            }
        }
    }
}
