//! The edge alone, for benchmarks and for looking at it: `edge CONTROL TABLE WORKERS [USER]`.

use mainstay_edge::{Config, User, run};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: edge CONTROL TABLE WORKERS [USER]");
    let (control, table) = (next()?.into(), next()?.into());
    let workers = next()?.parse()?;
    let user = next().ok().map(|name| User::named(&name)).transpose()?;
    run(Config { control, table, workers, user })?;
    Ok(())
}
