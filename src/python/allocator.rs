//! Lets tree-sitter, a C library, allocate as the rest of the program does: a tree is thousands of small pieces, made
//! and dropped on all cores.
#![expect(unsafe_code, reason = "the settings of a C library, and the functions that it is given")]

use std::ffi::{c_long, c_void};
use std::sync::Once;

use libmimalloc_sys::{mi_calloc, mi_free, mi_malloc, mi_option_set_default, mi_option_t, mi_realloc};
use tree_sitter::Allocator;

/// `mi_option_purge_delay` of mimalloc.h, which the crate does not name: milliseconds until memory that is not used goes
/// back to the system.
const PURGE_DELAY: mi_option_t = 15;
/// A tree's memory is used again by the next one: with the preset 10 ms it would be handed back, and cleared by the system,
/// between two commits. `MIMALLOC_PURGE_DELAY` still decides.
const PURGE_MILLIS: c_long = 1000;

/// Sets the allocator at the first call. It comes before the first parser is made: see [`Parser`](super::Parser), from
/// which every tree of the program comes.
pub fn set() {
    static SET: Once = Once::new();
    let allocator = Allocator { malloc, calloc, realloc, free: mi_free };
    // SAFETY: the functions belong together, align as `malloc` does and never return null; `Once` keeps other threads
    // out, and nothing of tree-sitter lives yet.
    // An option may be set at any time.
    SET.call_once(|| unsafe {
        mi_option_set_default(PURGE_DELAY, PURGE_MILLIS);
        tree_sitter::set_allocator(Some(allocator));
    });
}

/// tree-sitter asks for memory that is never refused; its own functions end the process too.
fn granted(memory: *mut c_void) -> *mut c_void {
    if memory.is_null() {
        std::process::abort();
    }
    memory
}

unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: any size may be asked for.
    granted(unsafe { mi_malloc(size) })
}

unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    // SAFETY: any count and size may be asked for: a product that overflows gives null.
    granted(unsafe { mi_calloc(count, size) })
}

unsafe extern "C" fn realloc(memory: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: tree-sitter hands back what one of these functions gave it, or null.
    granted(unsafe { mi_realloc(memory, size) })
}
