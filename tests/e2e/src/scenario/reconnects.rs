//! A thousand connections of one client, one after the other, each with one record: addresses of TLS handles, descriptors and ports
//! come back again and again, and no record may be counted twice or under another connection.

use anyhow::Result;

use crate::cells::Library;
use crate::check::{self, PRODUCED};
use crate::clients::{Golden, Plan};
use crate::truth::{Did, Truth};
use crate::world::{MARKER, World};

pub fn run(world: &World) -> Result<String> {
    let agent = world.agent()?;
    let before = check::losses(&agent.scrape()?);
    let mut seen = Vec::new();
    for (library, times) in [(Library::Franz, 1000), (Library::ConfluentPython, 200)] {
        let id = world.fresh("reconnects");
        world.cluster.admin.create(&id, 3, 1)?;
        let plan = Plan {
            library,
            client_id: id.clone(),
            codec: "none",
            tls: true,
            group: String::new(),
            marker: MARKER.to_owned(),
            intervals: false,
        };
        let folder = world.layout.run().join("reconnects");
        let mut client = Golden::start(&world.programs, &world.cluster, &folder, &plan)?;
        client.run(&format!("reconnect {times} {id}"))?;
        client.close()?;
        let produced = check::ends(&world.cluster.admin, std::slice::from_ref(&id))?;
        check::same(
            "acknowledgements and end offsets",
            &Truth::read(&client.truth)?.counts(Did::Produced),
            &produced,
        )?;
        check::settle(agent, |scrape| {
            check::differences(scrape, PRODUCED, Some(&id), &produced)
        })?;
        seen.push(format!("{times} connections of {}", library.name()));
    }
    check::nothing_lost(&before, &agent.scrape()?)?;
    Ok(seen.join(", "))
}
