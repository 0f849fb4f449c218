//! The C library's allocator. Its defaults suit a batch job: each thread keeps an arena of its own, and once a buffer of megabytes was freed, the next ones
//! come from there and stay resident. The agent holds such buffers for moments only.

/// From this size on a buffer is a mapping of its own, which goes back to the kernel when it is freed.
const LARGE: libc::c_int = 256 * 1024;
const ARENAS: libc::c_int = 2;

/// Call it before threads are started. Where the allocator is another one nothing is set.
pub fn give_back_early() {
    #[cfg(target_env = "gnu")]
    for (option, value) in [
        (libc::M_MMAP_THRESHOLD, LARGE),
        (libc::M_TRIM_THRESHOLD, LARGE),
        (libc::M_ARENA_MAX, ARENAS),
    ] {
        // SAFETY: mallopt(3) takes two numbers and sets one of its own; no other thread allocates yet.
        let set = unsafe { libc::mallopt(option, value) };
        if set == 0 {
            tracing::debug!(option, "the allocator does not know this option");
        }
    }
}
