//! The command line from outside: what is typed, what is printed, how it ends.

mod bad_input;
mod codes;
mod demo;
mod help;
mod life;
mod sandbox;
