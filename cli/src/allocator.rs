//! jemalloc: small for many small things, gives freed memory back, and can profile the heap.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Read by jemalloc before `main`. Profiling is compiled in and asleep until `--memprofile` wakes it;
/// pages that are free for a second go back to the system, also when nobody allocates any more (that
/// is the background thread's work, which sleeps otherwise); few arenas, as there are few threads.
#[used]
#[allow(unsafe_code)] // The one name by which jemalloc finds its settings; it only reads them.
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: &[u8; 132] =
    b"prof:true,prof_active:false,lg_prof_sample:16,background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0,narenas:4,tcache_max:4096\0";
