"""Which real series there are, by the names under which the fixture ``case`` unpacks them."""

NAMES = (
    "ct_chest_cmb_crc_01068",
    "ct_head_ge_tilt_varspacing",
    "ct_study_philips_headphantom",
    "enhanced_multiframe",
    "mr_abdomen_siemens_coronal_tcga_lihc",
    "mr_brain_ge_axial_jitter",
    "mr_phantom_acr",
    "mr_phantom_ge_localizer_4d",
    "mr_phantom_siemens_sag_classic_enhanced",
    "nonimage_private",
    "oddities_dicom2nifti",
    "petctmr_sts_004",
    "phantom_ibsi2_digital",
    "syntaxes_mr_4slices",
    "syntaxes_mr_mosaic",
)
