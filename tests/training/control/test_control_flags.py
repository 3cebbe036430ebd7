"""Flags of one host, which all hosts follow."""

import numpy as np

from training.control.control_flags import ControlFlagReducer, ControlFlags


def test_a_host_alone_follows_its_own_flags_at_once():
    reducer = ControlFlagReducer(max_in_flight=4)
    reduced = reducer.outgoing
    assert reducer.all_reduce(reduced, ControlFlags(stop=15, save=1)) == (15, 1)
    assert reducer.all_reduce(reduced, ControlFlags()) == (0, 0)


def test_flags_are_there_once_for_every_device():
    np.testing.assert_array_equal(ControlFlags(stop=2, save=1).to_devices(), [[2, 1]])
