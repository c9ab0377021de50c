use crate::ask::Ask;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn answer(&mut self, _ask: Ask) {}
}
