"""The stages that the demonstration has to pass, and how they are recognised."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum

from tocsin.demo import setup
from tocsin.demo.readings import Reading, Row


class Stage(Enum):
    """A stage, with the sentence that reports it."""

    NORMAL = "tier 0, Normal"
    WATCH = "tier 2, Watch"
    ACTION = "tier 3, Action"
    CRITICAL = "tier 4, Critical"
    PENDING = "the generated alert is pending in Prometheus"
    FIRING = "the generated alert fires in Prometheus"
    WEBHOOK = "the webhook arrived at Tocsin, through Alertmanager"
    CALM = "back to tier 0, Normal"
    BURN = f"{setup.BURN_ALERT} fires in Prometheus"
    BURN_WEBHOOK = f"{setup.BURN_ALERT} arrived at Tocsin, through Alertmanager"


#: What the surge must climb, one after the other, whatever else happens.
_CLIMB = (Stage.NORMAL, Stage.WATCH, Stage.ACTION, Stage.CRITICAL)
#: The tier of each stage that is one.
TIERS = {Stage.NORMAL: 0, Stage.WATCH: 2, Stage.ACTION: 3, Stage.CRITICAL: 4}
#: Without these the demonstration has not shown what it is for.
_NEEDED = (*_CLIMB, Stage.FIRING, Stage.WEBHOOK, Stage.BURN, Stage.BURN_WEBHOOK)


@dataclass(slots=True)
class Journey:
    """Which stages were reached, and when, in the order of reaching them."""

    reached: dict[Stage, float] = field(default_factory=dict)

    def observe(self, reading: Reading, resource: str, arrived: Collection[str], t: float) -> list[Stage]:
        """Take a reading, the resource that surges and names of alerts that arrived; return the new stages."""
        seen = (*self._seen(reading.row(resource), arrived), *self._burns(reading.state(setup.BURN_ALERT), arrived))
        new = [stage for stage in seen if stage not in self.reached]
        self.reached |= dict.fromkeys(new, t)
        return new

    def _seen(self, row: Row, arrived: Collection[str]) -> Iterator[Stage]:
        climb = next((stage for stage in _CLIMB if stage not in self.reached), None)
        if climb is not None and row.tier == TIERS[climb]:
            yield climb
        if row.alert == "pending":
            yield Stage.PENDING
        if row.alert == "firing":
            yield Stage.FIRING
        if setup.ALERT in arrived and (row.alert == "firing" or Stage.FIRING in self.reached):
            yield Stage.WEBHOOK
        if row.tier == 0 and Stage.CRITICAL in self.reached:
            yield Stage.CALM

    @staticmethod
    def _burns(state: str, arrived: Collection[str]) -> Iterator[Stage]:
        # What has arrived has fired, also where it was not seen in between.
        if state == "firing" or setup.BURN_ALERT in arrived:
            yield Stage.BURN
        if setup.BURN_ALERT in arrived:
            yield Stage.BURN_WEBHOOK

    @property
    def complete(self) -> bool:
        """Whether everything that is needed was seen."""
        return not self.missing()

    def missing(self) -> list[str]:
        """What was not seen, in words."""
        return [stage.value for stage in _NEEDED if stage not in self.reached]
