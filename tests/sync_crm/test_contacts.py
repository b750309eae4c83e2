"""Whose timeline it is."""

from __future__ import annotations

import pytest

from tests.sync_crm.conftest import World


def reason_parked(world: World) -> str:
    (parked,) = world.aws.received_messages("crm-dynamics-parked")
    return parked["MessageAttributes"]["reason"]["StringValue"]


def looked_up(world: World) -> int:
    return sum(call.path.endswith("/contacts") for call in world.sandbox.faults.calls)


def test_a_contact_is_looked_up_once_and_then_remembered(world: World) -> None:
    world.sync(world.job("ada", "sent"))
    world.sync(world.job("ada", "opened"), crm=world.compose())
    assert looked_up(world) == 1
    assert world.timeline("ada") == ["sb_emailopen", "sb_emailsend"]


def test_several_contacts_are_looked_up_in_one_request(world: World) -> None:
    world.sync(world.job("ada", "sent"), world.job("grace", "sent"))
    assert looked_up(world) == 1
    assert world.timeline("ada") == world.timeline("grace") == ["sb_emailsend"]


@pytest.mark.parametrize("name", ["o'hara", "a+b&c=d#e", "ÄSA"])
def test_an_address_is_found_whatever_is_in_it(world: World, name: str) -> None:
    world.message(f"m_{name}", world.person(name))
    world.sync(world.job(name, "sent"))
    assert world.timeline(name) == ["sb_emailsend"]


def test_an_address_cannot_widen_the_search(world: World) -> None:
    world.message("m_x' or lastname ne '", world.person("x' or lastname ne '", contact=False))
    assert world.sync(world.job("x' or lastname ne '", "sent")) == 0
    assert world.sandbox.ask("writes") == []


def test_who_is_no_contact_is_on_the_trace_and_nothing_is_written(world: World) -> None:
    world.message("m_bob", world.person("bob", contact=False))
    assert world.sync(world.job("bob", "sent"), world.job("ada", "sent")) == 0
    (hop,) = world.trace("bob")
    assert (hop.what, hop.reason) == ("not written", "no contact in dynamics")
    assert world.timeline("ada") == ["sb_emailsend"]


def test_an_erased_profile_is_on_the_trace(world: World) -> None:
    assert world.sync(world.job("ada", "sent", profile_id="p_gone")) == 0
    assert [hop.reason for hop in world.trace("ada")] == ["the profile was erased"]


def test_several_active_contacts_are_parked_with_their_number(world: World) -> None:
    world.sandbox.seed({"emailaddress1": "ADA@example.com", "lastname": "Twin"})
    world.sync(world.job("ada", "sent"), world.job("grace", "sent"))
    assert reason_parked(world).startswith("2 contacts in dynamics")
    assert [hop.what for hop in world.trace("ada")] == ["parked"]
    assert world.timeline("grace") == ["sb_emailsend"]


def test_an_active_contact_is_preferred_to_inactive_ones(world: World) -> None:
    world.sandbox.seed({"emailaddress1": "ada@example.com", "lastname": "Old", "statecode": 1})
    world.sync(world.job("ada", "sent"))
    assert world.timeline("ada") == ["sb_emailsend"]


def test_a_deleted_contact_is_forgotten_and_looked_up_again(world: World) -> None:
    world.sync(world.job("ada", "sent"))
    delete(world, "ada")
    world.contacts["ada"] = world.sandbox.seed({"emailaddress1": "ada@example.com", "lastname": "New"})[0]
    assert world.sync(world.job("ada", "opened"), world.job("ada", "clicked"), world.job("grace", "sent")) == 0
    assert world.timeline("ada") == ["sb_emailclick", "sb_emailopen", "task"]
    assert world.timeline("grace") == ["sb_emailsend"]
    profile = world.profiles.get(world.people["ada"])
    assert profile is not None
    assert profile.crm_ids == {"dynamics": world.contacts["ada"]}


def test_a_contact_that_was_deleted_for_good_is_on_the_trace(world: World) -> None:
    world.sync(world.job("ada", "sent"))
    delete(world, "ada")
    assert world.sync(world.job("ada", "opened")) == 0
    assert [hop.what for hop in world.trace("ada")] == ["written", "not written"]


def delete(world: World, name: str) -> None:
    store = world.sandbox.store
    del store.rows["contact"][world.contacts[name]]
