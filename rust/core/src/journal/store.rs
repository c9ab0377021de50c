use std::path::{Path,PathBuf};
use super::{Epoch,Part,RecordNumber,ShardId};
use super::files::Disk;
pub struct Store; #[derive(Debug)] pub struct StoreError; impl std::fmt::Display for StoreError { fn fmt(&self,_f:&mut std::fmt::Formatter<'_>)->std::fmt::Result{Ok(())}}
pub struct Record { pub number: RecordNumber, pub schema: u32, pub body: Vec<u8> }
#[derive(Clone)] pub struct Checkpoint { pub number: RecordNumber, pub folder: String, pub parts: Vec<Part> }
pub struct Torn { pub after: RecordNumber, pub bytes: u64 }
type R<T>=Result<T,StoreError>;
impl Store {
 pub fn open(_:&Path,_:&str)->R<Store>{todo!()} pub fn folder(&self)->&Path{todo!()} pub fn claim(&mut self,_:ShardId)->R<Epoch>{todo!()}
 pub fn append(&mut self,_:ShardId,_:Epoch,_:&[Record],_:&[(u32,String)])->R<()>{todo!()}
 pub fn read(&self,_:ShardId,_:RecordNumber,_:impl FnMut(RecordNumber,u32,&[u8])->bool)->R<()>{todo!()}
 pub fn put_checkpoint(&mut self,_:ShardId,_:Epoch,_:&Checkpoint)->R<()>{todo!()} pub fn latest(&self,_:ShardId)->R<Option<Checkpoint>>{todo!()}
 pub fn prune(&mut self,_:ShardId,_:Epoch,_:RecordNumber)->R<()>{todo!()} pub fn put_sink(&mut self,_:&str,_:u64)->R<()>{todo!()} pub fn sinks(&self)->R<Vec<(String,u64)>>{todo!()}
 pub fn schemas(&self)->R<Vec<(u32,String)>>{todo!()} pub fn bytes_since(&self,_:RecordNumber)->R<u64>{todo!()} pub fn cut(&self)->Option<Torn>{todo!()}
 pub fn checkpoint_folder(&self,_:RecordNumber)->(PathBuf,String){todo!()} pub fn disk(&self)->Disk{todo!()} pub fn backup(&self,_:&Path,_:ShardId)->R<()>{todo!()}
}
