//! Many short queues in one place.
//!
//! Most clients' queues are empty most of the time: an empty [`List`] is eight bytes and owns
//! nothing, and passing one element through it allocates nothing once the pool is warm.
//! The elements stand in segments, so that a pool grows and shrinks a piece at a time: nothing is
//! copied when it grows, and one element that stays does not keep the memory of a wave.

const NONE: u32 = u32::MAX;

/// Nodes of a segment; with elements of 48 bytes it is an allocation of 28 KiB.
const SEGMENT: u32 = if cfg!(test) { 4 } else { 512 };

/// One queue of a [`Pool`]. It must be cleared before it is dropped, or its elements stay in the pool.
#[derive(Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
}

impl List {
    pub(crate) const fn new() -> Self {
        List { head: NONE, tail: NONE }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head == NONE
    }
}

#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    /// In the queue, or among the free nodes of the segment.
    next: u32,
}

#[derive(Debug)]
struct Segment<T> {
    /// Without memory if no node is used, but for one spare segment.
    nodes: Vec<Node<T>>,
    /// The first of the nodes that were used and are free.
    free: u32,
    used: u32,
}

/// The elements of many queues.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    segments: Vec<Segment<T>>,
    /// Segments with free nodes; the last one is filled first.
    open: Vec<u32>,
    /// Segments without memory.
    released: Vec<u32>,
    /// There is a segment with memory of which no node is used.
    spare: bool,
    len: usize,
}

impl<T> Pool<T> {
    /// What an element takes up, in bytes.
    pub(crate) const NODE: usize = size_of::<Node<T>>();

    pub(crate) fn new() -> Self {
        Pool { segments: Vec::new(), open: Vec::new(), released: Vec::new(), spare: false, len: 0 }
    }

    /// Elements in all queues together.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn node(&mut self, index: u32) -> &mut Node<T> {
        &mut self.segments[(index / SEGMENT) as usize].nodes[(index % SEGMENT) as usize]
    }

    /// The segment to be filled next.
    fn open_segment(&mut self) -> u32 {
        while let Some(last) = self.open.last().copied() {
            if self.segments[last as usize].nodes.capacity() > 0 {
                return last;
            }
            self.open.pop();
            self.released.push(last);
        }
        let segment = self.released.pop().unwrap_or(self.segments.len() as u32);
        if segment as usize == self.segments.len() {
            self.segments.push(Segment { nodes: Vec::new(), free: NONE, used: 0 });
        }
        self.segments[segment as usize].nodes.reserve_exact(SEGMENT as usize);
        self.open.push(segment);
        self.spare = true;
        segment
    }

    fn take_node(&mut self, value: T) -> u32 {
        let number = self.open_segment();
        let segment = &mut self.segments[number as usize];
        self.len += 1;
        if segment.used == 0 {
            self.spare = false;
        }
        segment.used += 1;
        if segment.used == SEGMENT {
            self.open.pop();
        }
        let node = Node { value: Some(value), next: NONE };
        if segment.free == NONE {
            segment.nodes.push(node);
            return number * SEGMENT + segment.nodes.len() as u32 - 1;
        }
        let index = segment.free;
        let place = &mut segment.nodes[(index % SEGMENT) as usize];
        segment.free = place.next;
        *place = node;
        index
    }

    /// Empties a node; gives its value and the one that came after it in the queue.
    fn give_back(&mut self, index: u32) -> (Option<T>, u32) {
        let number = index / SEGMENT;
        let segment = &mut self.segments[number as usize];
        let node = &mut segment.nodes[(index % SEGMENT) as usize];
        let value = node.value.take();
        let next = std::mem::replace(&mut node.next, segment.free);
        segment.free = index;
        self.len -= 1;
        if segment.used == SEGMENT {
            self.open.push(number);
        }
        segment.used -= 1;
        if segment.used == 0 && std::mem::replace(&mut self.spare, true) {
            (segment.nodes, segment.free) = (Vec::new(), NONE);
        }
        (value, next)
    }

    pub(crate) fn push_back(&mut self, list: &mut List, value: T) {
        let index = self.take_node(value);
        if list.tail == NONE {
            list.head = index;
        } else {
            self.node(list.tail).next = index;
        }
        list.tail = index;
    }

    pub(crate) fn push_front(&mut self, list: &mut List, value: T) {
        let index = self.take_node(value);
        self.node(index).next = list.head;
        list.head = index;
        if list.tail == NONE {
            list.tail = index;
        }
    }

    pub(crate) fn pop_front(&mut self, list: &mut List) -> Option<T> {
        if list.head == NONE {
            return None;
        }
        let (value, next) = self.give_back(list.head);
        list.head = next;
        if next == NONE {
            list.tail = NONE;
        }
        value
    }

    pub(crate) fn front(&self, list: &List) -> Option<&T> {
        self.iter(list).next()
    }

    pub(crate) fn clear(&mut self, list: &mut List) {
        while self.pop_front(list).is_some() {}
    }

    /// The elements of a queue, first to last.
    pub(crate) fn iter<'a>(&'a self, list: &List) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let mut index = list.head;
        std::iter::from_fn(move || {
            let segment = self.segments.get((index / SEGMENT) as usize)?;
            let node = segment.nodes.get((index % SEGMENT) as usize)?;
            index = node.next;
            node.value.as_ref()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    impl<T> Pool<T> {
        fn with_memory(&self) -> usize {
            self.segments.iter().filter(|segment| segment.nodes.capacity() > 0).count()
        }
    }

    proptest! {
        #[test]
        fn behaves_like_separate_queues(steps in prop::collection::vec((0usize..3, 0u8..5, any::<u16>()), 0..300)) {
            let mut pool = Pool::new();
            let mut lists = [List::new(), List::new(), List::new()];
            let mut model: [VecDeque<u16>; 3] = Default::default();
            for (which, step, value) in steps {
                match step {
                    0 | 1 => { pool.push_back(&mut lists[which], value); model[which].push_back(value); }
                    2 => { pool.push_front(&mut lists[which], value); model[which].push_front(value); }
                    3 => prop_assert_eq!(pool.pop_front(&mut lists[which]), model[which].pop_front()),
                    _ if value % 8 > 0 => prop_assert_eq!(pool.front(&lists[which]), model[which].front()),
                    _ => { pool.clear(&mut lists[which]); model[which].clear(); }
                }
                for (list, queue) in lists.iter().zip(&model) {
                    prop_assert_eq!(pool.iter(list).copied().collect::<Vec<_>>(), queue.iter().copied().collect::<Vec<_>>());
                    prop_assert_eq!(list.is_empty(), queue.is_empty());
                }
                prop_assert_eq!(pool.len(), model.iter().map(VecDeque::len).sum::<usize>());
                // At worst, each segment holds one element.
                prop_assert!(pool.with_memory() <= pool.len() + 1);
            }
        }
    }

    #[test]
    fn one_that_stays_does_not_keep_the_memory_of_a_wave() {
        let mut pool = Pool::new();
        let (mut stays, mut wave) = (List::new(), List::new());
        for round in 0..3 {
            (0..400).for_each(|number| pool.push_back(&mut wave, number));
            if round == 0 {
                pool.push_back(&mut stays, 1);
            }
            assert!(pool.with_memory() >= 100);
            pool.clear(&mut wave);
            assert!(pool.with_memory() <= 2, "{}", pool.with_memory());
            assert_eq!(pool.segments.len(), 101, "places are used again");
        }
        assert_eq!(pool.pop_front(&mut stays), Some(1));
    }

    #[test]
    fn passing_elements_through_keeps_the_memory() {
        let mut pool = Pool::new();
        let mut list = List::new();
        for number in 0..100 {
            pool.push_back(&mut list, number);
            assert_eq!((pool.segments.len(), pool.segments[0].nodes.capacity()), (1, 4));
            assert_eq!(pool.pop_front(&mut list), Some(number));
            assert_eq!(pool.segments[0].nodes.capacity(), 4);
        }
    }
}
