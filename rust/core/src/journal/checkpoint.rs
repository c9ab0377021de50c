use std::path::{Path,PathBuf}; use super::files::Disk; use super::{Part}; use super::schema::Schema; use crate::population::Snapshot; use crate::declaration::Segment; use crate::shard::Class;
pub struct Job { pub schema: Schema, pub patterns: Vec<Vec<Segment>>, pub saved: Vec<Vec<u64>>, pub snapshots: Vec<Snapshot>, pub changed: Vec<Changed>, pub previous: Option<(PathBuf,Vec<Part>)>, pub small: Vec<u8> }
use crate::population::changed::Changed;
pub struct CheckpointError; impl std::fmt::Display for CheckpointError { fn fmt(&self,_f:&mut std::fmt::Formatter<'_>)->std::fmt::Result{Ok(())}}
pub fn write(_:&Disk,_:&Path,_:&Job)->Result<Vec<Part>,CheckpointError>{todo!()}
pub fn load(_:&Path,_:&[Part],_:&[Schema],_:&Schema,_:&mut [Class])->Result<Vec<u8>,CheckpointError>{todo!()}
