//! Panics of simulated tasks. A task that panics would just vanish; a world that ends asks here.

use std::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

static WATCH: Once = Once::new();

/// Counts panics of each thread from now on.
pub(crate) fn watch() {
    WATCH.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            COUNT.set(COUNT.get() + 1);
            report(panic);
        }));
    });
}

/// Panics of this thread so far.
pub(crate) fn count() -> u64 {
    COUNT.get()
}
