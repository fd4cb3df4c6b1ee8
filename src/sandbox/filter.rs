//! The filter of system calls: what a program in the cage has no business with, though no namespace forbids it.
//!
//! Refused are ways to memory that no limit counts (`memfd_create`, System V), sockets of any kind, further namespaces,
//! and parts of the kernel that tend to have holes. The answer to a refused call is "no such call", by which the C
//! library goes on from `clone3`, whose flags a filter cannot see, to `clone`, whose flags it can.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::SandboxError;

const REFUSED: [i64; 36] = [
    // memory beside the limits
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // the network
    libc::SYS_socket,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_connect,
    // namespaces and mounts
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_clone3,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_fsopen,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    // other processes' memory
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    // wide surfaces
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_personality,
];

/// Flags of `clone` that make namespaces.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// The x32 calls of an x86-64 kernel are the same with this bit.
const X32: i64 = 0x4000_0000;

/// The filter as the kernel takes it (an array of `sock_filter`), in hexadecimal.
pub(super) fn filter() -> Result<String, SandboxError> {
    let processor = std::env::consts::ARCH;
    let arch = TargetArch::try_from(processor).map_err(|_| SandboxError::Processor(processor))?;
    let compiled = compile(arch).map_err(|error| SandboxError::Start { message: error.to_string() })?;
    Ok(compiled.iter().fold(String::new(), |mut text, step| {
        let (code, k) = (step.code.to_ne_bytes(), step.k.to_ne_bytes());
        for byte in code.into_iter().chain([step.jt, step.jf]).chain(k) {
            let _ = write!(text, "{byte:02x}"); // a String takes everything
        }
        text
    }))
}

fn compile(arch: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
    let clone = NAMESPACES
        .into_iter()
        .map(|flag| {
            let flag = flag as u32;
            let has = SeccompCmpOp::MaskedEq(flag.into());
            SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Dword, has, flag.into())?])
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.into_iter().map(|call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, clone);
    rules.extend(rules.clone().into_iter().map(|(call, rules)| (call | X32, rules)));
    let refuse = SeccompAction::Errno(libc::ENOSYS as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()
}
