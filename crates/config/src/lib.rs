//! Compose files into stacks.
#![allow(dead_code)]
mod diagnostic;
mod dotenv;
mod node;
mod scalar;
mod source;
mod suggest;
mod template;
mod units;
mod words;
mod yaml;
