"""Processor: azimuthal integration of diffraction images with pyFAI (extra `azimuthal`); the only file that imports it.

Why method `csc`: measured on 1043 × 981 uint16 and 1000 bins on two cores, ms of wall and of CPU time per frame:

=============  =========  =======  =========  =======
splitting      csc        csr      histogram  lut
=============  =========  =======  =========  =======
full           10.5/10.3  34/40    122/119
bbox           10.2/10.2  24/44    28/41      48/55
no             7.4/7.5    14/28    10.7/10.7
=============  =========  =======  =========  =======
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mamba.data_worker.nodes import Axis, Flow, Item, Job, Node, NodeParameters
from mamba.data_worker.processors.checks import check_images, take_flow
from mamba.data_worker.processors.pictures import AbsoluteFile, read_image
from mamba.errors import GraphInvalid

_UNITS = {"q": ("q_A^-1", "1/angstrom"), "two_theta": ("2th_deg", "deg")}


class Geometry(NodeParameters):
    """A detector that stands straight in the beam; for a tilted one give a poni file."""

    distance: float = Field(gt=0, description="from the sample to the detector", json_schema_extra={"units": "mm"})
    pixel_size: float = Field(gt=0, description="width and height of a pixel", json_schema_extra={"units": "um"})
    centre: Annotated[tuple[float, ...], Field(min_length=2, max_length=2)] = Field(
        description="where the beam would hit, [x, y] from the corner of the first pixel",
        json_schema_extra={"units": "pixel"},
    )
    wavelength: float = Field(gt=0, description="of the beam", json_schema_extra={"units": "angstrom"})


class AzimuthalParameters(NodeParameters):
    """Where the detector stands, and what is wanted."""

    poni: AbsoluteFile | None = Field(None, description="geometry as pyFAI's calibration wrote it")
    geometry: Geometry | None = Field(None, description="instead of a poni file")
    bins: int = Field(1000, ge=2, le=100_000, description="points of the pattern")
    axis: Literal["q", "two_theta"] = Field("q", description="q in 1/angstrom, or the scattering angle in degrees")
    low: float | None = Field(None, ge=0, description="where the first bin begins; without, at the innermost pixel")
    high: float | None = Field(None, gt=0, description="where the last bin ends; without, at the outermost pixel")
    mask: AbsoluteFile | None = Field(
        None, description="HDF5 file with an image that is not 0 where a pixel is left out"
    )
    mask_dataset: str = Field("/entry/instrument/detector/pixel_mask", min_length=1, description="the image in it")
    solid_angle: bool = Field(True, description="correct for the solid angle of each pixel")
    polarization: float | None = Field(
        None, ge=-1, le=1, description="polarization factor of the beam; none: no correction"
    )
    split: Literal["no", "bbox", "full"] = Field("full", description="how pixels are shared out among bins")

    @model_validator(mode="after")
    def _consistent(self) -> AzimuthalParameters:
        if (self.poni is None) == (self.geometry is None):
            raise ValueError("give a poni file or a geometry, not both")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError("low is not below high")
        return self


class Azimuthal(Node):
    """A pattern from each image: the mean intensity in each bin of q or angle, NaN where a bin has no pixel.

    Pixels that are NaN are left out.
    """

    takes = AzimuthalParameters
    parameters: AzimuthalParameters

    def plan(self, inputs: dict[str, Flow]) -> Flow:
        """One pattern per frame, with its axis; imports pyFAI, which takes 2 s the first time."""
        flow = take_flow(inputs)
        shape = check_images(self.name, flow)
        self._integrator = self._make_integrator(shape)
        unit, name = _UNITS[self.parameters.axis]
        radii = self._integrator.array_from_unit(shape, "center", unit, scale=True)
        low = float(radii.min()) if self.parameters.low is None else self.parameters.low
        high = float(radii.max()) if self.parameters.high is None else self.parameters.high
        if not low < high or low > radii.max() or high < radii.min():
            raise GraphInvalid(
                f"node {self.name!r}: nothing of the detector is in its range",
                seen=f"{low:g} to {high:g}, pixels are at {radii.min():.4g} to {radii.max():.4g} {name}",
                remedy="mend low and high, or the geometry",
            )
        edges = np.linspace(low, high, self.parameters.bins + 1)
        # pyFAI puts pixels less than a bin below its range into the first bin: it gets one bin more, not given on
        self._range = (2 * low - float(edges[1]), high)
        axis = Axis(self.parameters.axis, name, tuple(((edges[1:] + edges[:-1]) / 2).tolist()))
        return Flow((self.parameters.bins,), "float32", flow.block_frames, flow.units, axis=axis, every=flow.every)

    def _make_integrator(self, shape: tuple[int, int]) -> Any:
        # without, it looks for OpenCL, which these methods do not use, and warns that there is none
        os.environ.setdefault("PYFAI_OPENCL", "0")
        try:
            import pyFAI
            from pyFAI.integrator.azimuthal import AzimuthalIntegrator
        except ImportError as error:
            remedy = "pip install 'mamba-beamline[azimuthal]'"
            raise GraphInvalid(f"node {self.name!r}: pyFAI is not installed", seen=str(error), remedy=remedy) from None
        geometry = self.parameters.geometry
        if geometry is None:
            return self._load_poni(pyFAI.load, shape)
        pixel, (x, y) = geometry.pixel_size * 1e-6, geometry.centre
        return AzimuthalIntegrator(
            dist=geometry.distance * 1e-3,
            poni1=y * pixel,
            poni2=x * pixel,
            pixel1=pixel,
            pixel2=pixel,
            wavelength=geometry.wavelength * 1e-10,
        )

    def _load_poni(self, load: Callable[[str], Any], shape: tuple[int, int]) -> Any:
        what = f"node {self.name!r}: cannot use {self.parameters.poni}"
        try:
            integrator = load(str(self.parameters.poni))
        except Exception as error:  # noqa: BLE001  # pyFAI raises whatever its parser meets
            raise GraphInvalid(what, seen=f"{type(error).__name__}: {error}"[:200], remedy="name a poni file") from None
        if self.parameters.axis == "q" and not integrator.wavelength:
            raise GraphInvalid(what, seen="it has no wavelength", remedy="set axis: two_theta, or calibrate again")
        if integrator.detector.shape not in (None, shape):
            seen = f"it is for {integrator.detector.shape}, frames have {shape}"
            raise GraphInvalid(what, seen=seen, remedy="calibrate with such frames")
        return integrator

    def open(self, job: Job, inputs: dict[str, Flow]) -> None:
        """Read the mask and have pyFAI look up which pixel belongs to which bin, 0.2 to 0.5 s per megapixel.

        Raises:
            DataError: the mask cannot be used.
        """
        flow = take_flow(inputs)
        self._mask: NDArray[np.int8] | None = None
        if self.parameters.mask is not None:
            image = read_image(self.name, self.parameters.mask, self.parameters.mask_dataset, flow.shape)
            self._mask = (image != 0).astype(np.int8)
        # pyFAI makes its table with the first frame
        self._integrate(np.ones(flow.shape, dtype=flow.dtype))

    def _integrate(self, frame: NDArray[Any]) -> NDArray[Any]:
        found = self._integrator.integrate1d_ng(
            frame.astype(np.float32),  # as pyFAI would; and it refuses to read what it may not write
            self.parameters.bins + 1,
            unit=_UNITS[self.parameters.axis][0],
            method=(self.parameters.split, "csc", "cython"),
            radial_range=self._range,
            correctSolidAngle=self.parameters.solid_angle,
            polarization_factor=self.parameters.polarization,
            mask=self._mask,
            safe=False,
        )
        return np.where(found.count > 0, found.intensity, np.nan)[1:]

    def process(self, item: Item) -> NDArray[Any]:
        """Patterns of shape (count, bins), float32."""
        return np.stack([self._integrate(frame) for frame in item.data]).astype(np.float32)
