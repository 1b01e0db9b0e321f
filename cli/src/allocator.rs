//! jemalloc: small for many small things, gives freed memory back, and can profile the heap.
//! On Linux it is the allocator of C libraries as well: after a wave of calls, libcurl left in the
//! system's allocator tens of megabytes that never went back.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Read by jemalloc before `main`. Profiling is compiled in and asleep until `--memprofile` wakes it.
/// Freed pages go back to the system after a second, by a thread of jemalloc's own: a gateway that
/// all clients have left allocates nothing, and without the thread it would keep their memory.
/// One arena for each core is enough, as there is one shard for each.
const SETTINGS: &[u8] = b"prof:true,prof_active:false,lg_prof_sample:16,\
background_thread:true,max_background_threads:1,dirty_decay_ms:1000,muzzy_decay_ms:0,\
narenas_ratio:1,tcache_max:4096\0";

#[used]
#[allow(unsafe_code)] // The one name by which jemalloc finds its settings; it only reads them.
#[cfg_attr(target_os = "linux", unsafe(export_name = "malloc_conf"))]
#[cfg_attr(not(target_os = "linux"), unsafe(export_name = "_rjem_malloc_conf"))]
static MALLOC_CONF: &[u8; SETTINGS.len()] = match SETTINGS.first_chunk() {
    Some(settings) => settings,
    None => unreachable!(),
};
