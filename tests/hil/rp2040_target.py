from spot_host.hil.target import Absent, Target


class Rp2040Target(Target):
    def _begin(self):
        raise Absent("not yet")

    def _end(self):
        pass
