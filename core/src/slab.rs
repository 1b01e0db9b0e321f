//! Slots with generations: a late answer to a former tenant misses.

use crate::{CallId, ConnId};

/// A slot and how often it had been used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl From<ConnId> for Key {
    fn from(id: ConnId) -> Key {
        Key { slot: id.slot, generation: id.generation }
    }
}

impl From<Key> for ConnId {
    fn from(key: Key) -> ConnId {
        ConnId { slot: key.slot, generation: key.generation }
    }
}

impl From<CallId> for Key {
    fn from(id: CallId) -> Key {
        Key { slot: id.slot, generation: id.generation }
    }
}

impl From<Key> for CallId {
    fn from(key: Key) -> CallId {
        CallId { slot: key.slot, generation: key.generation }
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<Box<T>>,
}

/// Boxed values by [`Key`]: an empty slot costs 16 bytes, so a wave of clients that has left
/// leaves next to nothing behind.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Slab { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many slots there ever were at once.
    pub(crate) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        let value = Some(Box::new(value));
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            place.value = value;
            return Key { slot, generation: place.generation };
        }
        // 2^32 slots would need 64 GiB for the slots alone: descriptors end long before.
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot { generation: 0, value });
        Key { slot, generation: 0 }
    }

    pub(crate) fn get(&self, key: impl Into<Key>) -> Option<&T> {
        let key = key.into();
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation == key.generation { slot.value.as_deref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: impl Into<Key>) -> Option<&mut T> {
        let key = key.into();
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation { slot.value.as_deref_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, key: impl Into<Key>) -> Option<T> {
        let key = key.into();
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
        Some(*value)
    }

    /// The tenant of a slot, for walks over all of them.
    pub(crate) fn at(&self, slot: u32) -> Option<(Key, &T)> {
        let place = self.slots.get(slot as usize)?;
        let value = place.value.as_deref()?;
        Some((Key { slot, generation: place.generation }, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_key_misses_the_next_tenant() {
        let mut slab = Slab::new();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_eq!(first.slot, second.slot);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&'b'));
        assert_eq!(slab.len(), 1);
    }
}
