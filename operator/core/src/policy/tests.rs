//! Properties of the whole: printing, reading and comparing together.

mod examples;
mod injection;
mod properties;
