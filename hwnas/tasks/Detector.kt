// Android: finds objects in pictures, with ShippedModel.kt beside it, which says what it needs.
// Compiled and run on the JVM, with stand-ins for Android and LiteRT; not on a phone.

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Paint
import android.graphics.RectF
import kotlin.math.abs
import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.ln1p
import kotlin.math.max
import kotlin.math.min

/** Finds objects in pictures. Make one and keep it; close it in the end. */
class Detector(context: Context, file: String = "model.int8.tflite") : AutoCloseable {
    /** A thing that was found; the box is in pixels of the picture. */
    class Found(
        val name: String, val colour: Int, val score: Float, val box: RectF,
        internal val kind: Int, internal val logit: Float,
    )

    private val model = ShippedModel(context, file)
    private val reading = model.how.getJSONObject("answer")
    private val overlap = reading.getDouble("nms_iou")
    private val most = reading.getInt("most_objects")

    /** The score from which on validation images were read best. */
    val threshold: Float = reading.getDouble("score_threshold").toFloat()

    /** What a picture shows, the surest first.
     *
     * picture: from ImageDecoder with ALLOCATOR_SOFTWARE, which turns it upright as EXIF says. */
    fun find(picture: Bitmap, least: Float = threshold): List<Found> {
        val answers = model.answers(picture)
        val (wider, higher) = picture.width.toFloat() / model.width to picture.height.toFloat() / model.height
        val found = (0 until answers.size / 2).flatMap { level ->
            ofLevel(level, answers[2 * level], answers[2 * level + 1], -ln(1.0 / least - 1))
        }
        for (each in found) each.box.apply { set(wider * left, higher * top, wider * right, higher * bottom) }
        val kept = mutableListOf<Found>()
        for (each in found.sortedByDescending { it.logit }) {
            if (kept.size == most) break
            if (kept.none { it.kind == each.kind && iou(it.box, each.box) > overlap }) kept += each
        }
        return kept
    }

    /** Draws boxes on a picture that can be changed. */
    fun draw(found: List<Found>, picture: Bitmap) {
        val canvas = Canvas(picture)
        val pen = Paint().apply { style = Paint.Style.STROKE; strokeWidth = 4f }
        for (each in found) canvas.drawRect(each.box, pen.apply { color = each.colour })
    }

    override fun close() = model.close()

    /** What a level says, class by class, in pixels of what the model reads. */
    private fun ofLevel(level: Int, logits: FloatArray, sides: FloatArray, least: Double): List<Found> {
        val stride = reading.getInt("finest_stride") shl level
        val columns = model.width / stride
        val (places, kinds) = logits.size / model.names.size to model.names.size
        val bins = sides.size / (4 * places)
        val found = mutableListOf<Found>()
        for (kind in 0 until kinds) for (place in 0 until places) {
            val logit = logits[place * kinds + kind]  // NHWC
            if (logit < least) continue
            fun far(side: Int) = stride * distance(sides, (4 * place + side) * bins, bins)
            val (x, y) = (place % columns + 0.5f) * stride to (place / columns + 0.5f) * stride
            val box = RectF(
                max(0f, x - far(0)), max(0f, y - far(1)),
                min(model.width.toFloat(), x + far(2)), min(model.height.toFloat(), y + far(3)),
            )
            found += Found(model.names[kind], model.colours[kind], 1 / (1 + exp(-logit)), box, kind, logit)
        }
        return found
    }

    /** Of a side, in strides: log(1 + exp(number)), or the mean of a distribution over 0, 1, … */
    private fun distance(sides: FloatArray, first: Int, bins: Int): Float {
        if (bins == 1) return max(sides[first], 0f) + ln1p(exp(-abs(sides[first])))
        val largest = (0 until bins).maxOf { sides[first + it] }
        var (sum, weighed) = 0f to 0f
        for (bin in 0 until bins) exp(sides[first + bin] - largest).let { sum += it; weighed += bin * it }
        return weighed / sum
    }

    private fun iou(one: RectF, other: RectF): Float {
        val wide = max(0f, min(one.right, other.right) - max(one.left, other.left))
        val both = wide * max(0f, min(one.bottom, other.bottom) - max(one.top, other.top))
        val either = one.width() * one.height() + other.width() * other.height() - both
        return if (either > 0) both / either else 0f
    }
}
