//! The command line from outside: what is typed, what is printed, how it ends.

#![allow(clippy::unwrap_used)] // All of it is tests.

mod bad_input;
mod check;
mod codes;
mod demo;
mod edge;
mod help;
mod keys;
mod life;
mod sandbox;
mod served;
mod site;
mod words;
