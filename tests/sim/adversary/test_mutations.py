"""The deliberate bugs of `make mutants` still have their places in the code. That each is caught takes minutes."""

import pytest

from tests.sim.adversary.mutations import MUTATIONS, ROOT


def test_there_are_a_dozen_with_names_of_their_own():
    assert len({mutation[0] for mutation in MUTATIONS}) == len(MUTATIONS) >= 12


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation[0])
def test_a_mutation_has_its_place(mutation):
    _, file, text, other, _ = mutation
    code = (ROOT / file).read_text()
    assert code.count(text) == 1 and other != text
    compile(code.replace(text, other), file, "exec")
