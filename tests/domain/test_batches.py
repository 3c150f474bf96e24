from __future__ import annotations

import pytest

from service.domain.batches import batches
from service.domain.purges import Action, PlannedPurge


def purge(image: str, project: str = "shop", action: Action = Action.DELETE, deadline: int = 60) -> PlannedPurge:
    return PlannedPurge(
        project=project, action=action, src_image=image, deadline=deadline, settle=0, rule="r", template="{{ url }}"
    )


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (8, [8]), (9, [8, 1]), (16, [8, 8]), (17, [8, 8, 1])])
def test_a_call_has_one_to_eight_images(count: int, sizes: list[int]) -> None:
    purges = [purge(f"/{number}") for number in range(count)]
    made = batches(purges)
    assert [len(batch.purges) for batch in made] == sizes
    assert [one for batch in made for one in batch.purges] == purges


def test_a_call_has_one_project_one_action_and_one_deadline() -> None:
    made = batches(
        [
            purge("/a"),
            purge("/b", deadline=0),
            purge("/c", project="blog"),
            purge("/d", action=Action.INVALIDATE, deadline=0),
            purge("/e"),
            purge("/f", project="blog"),
        ]
    )
    assert [(batch.project, batch.action.value, batch.deadline, batch.images) for batch in made] == [
        ("shop", "delete", 60, ["/a", "/e"]),
        ("shop", "delete", 0, ["/b"]),
        ("blog", "delete", 60, ["/c", "/f"]),
        ("shop", "invalidate", 0, ["/d"]),
    ]
