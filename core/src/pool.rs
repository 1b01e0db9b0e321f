//! Many short queues in one allocation.
//!
//! Most clients' queues are empty most of the time: an empty [`List`] is eight bytes and owns
//! nothing, and passing one element through it allocates nothing once the pool is warm.

const NONE: u32 = u32::MAX;

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
    next: u32,
}

/// The elements of many queues.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    nodes: Vec<Node<T>>,
    free: u32,
    len: usize,
}

impl<T> Pool<T> {
    pub(crate) fn new() -> Self {
        Pool { nodes: Vec::new(), free: NONE, len: 0 }
    }

    /// Elements in all queues together.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn take_node(&mut self, value: T) -> u32 {
        self.len += 1;
        if self.free != NONE {
            let index = self.free;
            let node = &mut self.nodes[index as usize];
            self.free = node.next;
            node.value = Some(value);
            node.next = NONE;
            return index;
        }
        let index = self.nodes.len() as u32;
        self.nodes.push(Node { value: Some(value), next: NONE });
        index
    }

    pub(crate) fn push_back(&mut self, list: &mut List, value: T) {
        let index = self.take_node(value);
        if list.tail == NONE {
            list.head = index;
        } else {
            self.nodes[list.tail as usize].next = index;
        }
        list.tail = index;
    }

    pub(crate) fn push_front(&mut self, list: &mut List, value: T) {
        let index = self.take_node(value);
        self.nodes[index as usize].next = list.head;
        list.head = index;
        if list.tail == NONE {
            list.tail = index;
        }
    }

    pub(crate) fn pop_front(&mut self, list: &mut List) -> Option<T> {
        if list.head == NONE {
            return None;
        }
        let index = list.head;
        let node = &mut self.nodes[index as usize];
        let value = node.value.take();
        list.head = node.next;
        if list.head == NONE {
            list.tail = NONE;
        }
        node.next = self.free;
        self.free = index;
        self.len -= 1;
        if self.len == 0 && self.nodes.len() > 1024 {
            // After a wave: give the memory back.
            self.nodes = Vec::new();
            self.free = NONE;
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
            let node = self.nodes.get(index as usize)?;
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

    proptest! {
        #[test]
        fn behaves_like_separate_queues(steps in prop::collection::vec((0usize..3, 0u8..4, any::<u16>()), 0..200)) {
            let mut pool = Pool::new();
            let mut lists = [List::new(), List::new(), List::new()];
            let mut model: [VecDeque<u16>; 3] = Default::default();
            for (which, step, value) in steps {
                match step {
                    0 => { pool.push_back(&mut lists[which], value); model[which].push_back(value); }
                    1 => { pool.push_front(&mut lists[which], value); model[which].push_front(value); }
                    2 => prop_assert_eq!(pool.pop_front(&mut lists[which]), model[which].pop_front()),
                    _ => { pool.clear(&mut lists[which]); model[which].clear(); }
                }
                for (list, queue) in lists.iter().zip(&model) {
                    prop_assert_eq!(pool.iter(list).copied().collect::<Vec<_>>(), queue.iter().copied().collect::<Vec<_>>());
                    prop_assert_eq!(list.is_empty(), queue.is_empty());
                }
                prop_assert_eq!(pool.len(), model.iter().map(VecDeque::len).sum::<usize>());
            }
        }
    }
}
