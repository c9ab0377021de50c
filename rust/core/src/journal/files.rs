#[derive(Clone)] pub struct Disk;
