//! The heart of Shoal, in the order of an event:
//!
//! - `source`: files become batches of records (`batch`)
//! - `decode`: a record's bytes become the slots of a body (`body`)
