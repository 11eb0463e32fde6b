//! Has the linker pack the binary's relative relocations (`DT_RELR`): packed they take 8 KB, else more than a megabyte.
//! Only where the C library of the machine that builds can read them, as that of each machine can that is at least
//! as new, and older ones do not run the binary anyway.

use std::env;
use std::process::Command;

/// The first glibc whose loader reads them.
const FIRST: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of = |name| env::var(name).unwrap_or_default();
    let is_for_here = of("HOST") == of("TARGET") && of("TARGET").ends_with("-linux-gnu");
    if is_for_here && glibc().is_some_and(|version| version >= FIRST) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's C library, where it is glibc.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
