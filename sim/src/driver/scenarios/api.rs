//! The API fails.

use super::secs;
use crate::driver::world::World;

pub(super) fn calm(world: &mut World<'_>) -> Result<(), String> {
    world.run(secs(15))
}

pub(super) fn crash(world: &mut World<'_>) -> Result<(), String> {
    world.run(secs(4))?;
    world.api_faults(true)?;
    for down in [1, 3, 8] {
        world.crash_api();
        world.run(secs(down))?;
        world.start_api();
        world.run(secs(2))?;
    }
    world.api_faults(false)?;
    world.happened("crashes of the API")?;
    world.happened("calls that ended with the API")
}
