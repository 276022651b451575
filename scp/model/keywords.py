"""The attributes that a header scan decodes, by what they are for (keywords of PS3.6)."""

IDENTITY_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "BodyPartExamined",
    "InstanceNumber",
)
"""What says whose image it is, and of which series."""

GEOMETRY_KEYWORDS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "Rows",
    "Columns",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "SliceThickness",
    "SpacingBetweenSlices",
    "GantryDetectorTilt",
    "AnatomicalOrientationType",
)

PIXEL_KEYWORDS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "NumberOfFrames",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "SmallestImagePixelValue",
    "RescaleIntercept",
    "RescaleSlope",
    "WindowCenter",
    "WindowWidth",
    "WindowCenterWidthExplanation",
    "VOILUTFunction",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "MultienergyCTAcquisition",
)

CONTRAST_KEYWORDS = (
    "ImageType",
    "ConvolutionKernel",
    "KVP",
    "FilterType",
    "EchoTime",
    "EchoNumbers",
    "RepetitionTime",
    "InversionTime",
    "DiffusionBValue",
    "TemporalPositionIdentifier",
    "ContrastBolusAgent",
    "PatientPosition",
    "Units",
    "RescaleType",
    "ComplexImageComponent",
)
"""What makes two images of one place different images, compared where both have a value. Not Acquisition
Number and Slice Thickness, which vary inside real volumes; Trigger Time only where positions repeat."""

STACK_KEYWORDS = (
    "TriggerTime",
    "AcquisitionNumber",
    "ImagesInAcquisition",
    "NumberOfSlices",
    "TemporalPositionIndex",
    "DerivationCodeSequence",
)

COPIED_KEYWORDS = (
    "StudyDate",
    "StudyTime",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "ContentDate",
    "ContentTime",
    "TimezoneOffsetFromUTC",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "ProcedureCodeSequence",
    "OtherPatientIDsSequence",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "PatientSexNeutered",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
    "Laterality",
    "ImageLaterality",
    "Manufacturer",
    "ManufacturerModelName",
    "InstitutionName",
    "StationName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "CorrectedImage",
    "DecayCorrection",
    "CollimatorType",
    "ReconstructionMethod",
    "AttenuationCorrectionMethod",
    "SeriesType",
    "CountsSource",
    "NumberOfTimeSlices",
    "ActualFrameDuration",
    "FrameReferenceTime",
    "DecayFactor",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "EchoTrainLength",
    "RadiopharmaceuticalInformationSequence",
    "PatientOrientationCodeSequence",
    "PatientGantryRelationshipCodeSequence",
    "RandomsCorrectionMethod",
    "ScatterCorrectionMethod",
)
"""What a result carries over from its sources."""

HEADER_KEYWORDS = (
    IDENTITY_KEYWORDS
    + GEOMETRY_KEYWORDS
    + PIXEL_KEYWORDS
    + CONTRAST_KEYWORDS
    + STACK_KEYWORDS
    + COPIED_KEYWORDS
)
"""All that a header scan decodes; the auxiliary identifiers of the configuration are added to it."""

NOT_KEYS = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC"})
"""What an identifier of a query or retrieve says of itself; all else in it are keys (PS3.4 C.4.1.1.3)."""
