"""The migrations of every service apply to a fresh database, once."""

from deploy.nodes import migrate_node
from tests.support.servers import FreshDatabase


async def test_a_node_is_brought_up_to_date_once(fresh_database: FreshDatabase) -> None:
    node = await fresh_database("ccem-fr")
    assert await migrate_node(node) > 0
    assert await migrate_node(node) == 0
